//! The data folder as an object store, for engines that read Parquet through one.
//!
//! Read only, and only files that count. The hash of a file is compared before its first byte is
//! handed out in this process: a damaged file is an error, never a wrong number.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error as ObjectError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as ObjectResult, local::LocalFileSystem, path::Path,
};

use crate::{Error, error::DAMAGED_AT, files::Files};

const NAME: &str = "callgauge data";

/// The damaged file, relative to the data folder, that an error of [`crate::Store::object_store`]
/// named before somebody made a text of it.
pub fn damaged_file_in(text: &str) -> Option<String> {
    let (_, error) = text.split_once(&format!("Generic {NAME} error: "))?;
    let (path, _) = error.split_once(DAMAGED_AT)?;
    let (place, detail) = (String::new(), String::new());
    let path = path.into();
    let error = Error::Damaged {
        path,
        place,
        detail,
    };
    error.damaged_file()
}

/// See the module. A store in memory has none of the two and so no file.
#[derive(Debug)]
pub(crate) struct DataObjects {
    inner: Option<(Arc<Files>, LocalFileSystem)>,
}

impl DataObjects {
    pub fn new(files: Option<Arc<Files>>) -> crate::Result<Self> {
        let Some(files) = files else {
            return Ok(DataObjects { inner: None });
        };
        let local = LocalFileSystem::new_with_prefix(files.root())
            .map_err(|e| Error::io("open", files.root(), std::io::Error::other(e)))?;
        Ok(DataObjects {
            inner: Some((files, local)),
        })
    }

    fn checked(&self, location: &Path) -> ObjectResult<&LocalFileSystem> {
        let path = location.as_ref();
        let Some((files, local)) = &self.inner else {
            let source = "the store is in memory".into();
            return Err(ObjectError::NotFound {
                path: path.to_owned(),
                source,
            });
        };
        match files.check(path) {
            Ok(()) => Ok(local),
            Err(error @ Error::Gone { .. }) => Err(ObjectError::NotFound {
                path: path.to_owned(),
                source: Box::new(error),
            }),
            Err(error) => Err(ObjectError::Generic {
                store: NAME,
                source: Box::new(error),
            }),
        }
    }

    /// Paths that may be read, below `prefix`.
    fn paths(&self, prefix: Option<&Path>) -> Vec<Path> {
        let paths = self.inner.iter().flat_map(|(files, _)| files.paths());
        let paths = paths.filter_map(|(path, _)| Path::parse(path).ok());
        paths
            .filter(|p| prefix.is_none_or(|prefix| p.prefix_matches(prefix)))
            .collect()
    }

    async fn metas(&self, prefix: Option<&Path>) -> ObjectResult<Vec<ObjectMeta>> {
        let mut metas = Vec::new();
        for path in self.paths(prefix) {
            let local = self.checked(&path)?;
            let head = GetOptions::new().with_head(true);
            metas.push(local.get_opts(&path, head).await?.meta);
        }
        Ok(metas)
    }
}

fn read_only<T>() -> ObjectResult<T> {
    let source = "data files are written by commits only".into();
    Err(ObjectError::NotSupported { source })
}

impl fmt::Display for DataObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DataObjects {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> ObjectResult<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> ObjectResult<Box<dyn MultipartUpload>> {
        read_only()
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> ObjectResult<GetResult> {
        self.checked(location)?.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> ObjectResult<Vec<Bytes>> {
        self.checked(location)?.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, ObjectResult<Path>>,
    ) -> BoxStream<'static, ObjectResult<Path>> {
        stream::once(async { read_only() }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, ObjectResult<ObjectMeta>> {
        let all = DataObjects {
            inner: self.inner_clone(),
        };
        let prefix = prefix.cloned();
        stream::once(async move { all.metas(prefix.as_ref()).await })
            .flat_map(|metas| match metas {
                Ok(metas) => stream::iter(metas).map(Ok).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> ObjectResult<ListResult> {
        let depth = prefix.map_or(0, |p| p.parts().count());
        let mut result = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
        };
        for meta in self.metas(prefix).await? {
            let parts: Vec<_> = meta.location.parts().collect();
            if parts.len() == depth + 1 {
                result.objects.push(meta);
            } else {
                let folder = Path::from_iter(parts.into_iter().take(depth + 1));
                if !result.common_prefixes.contains(&folder) {
                    result.common_prefixes.push(folder);
                }
            }
        }
        Ok(result)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> ObjectResult<()> {
        read_only()
    }
}

impl DataObjects {
    fn inner_clone(&self) -> Option<(Arc<Files>, LocalFileSystem)> {
        self.inner
            .as_ref()
            .map(|(files, local)| (Arc::clone(files), local.clone()))
    }
}
