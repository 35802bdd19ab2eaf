"""What must hold of every answer, whatever was asked. Loaded by schemathesis."""
import schemathesis


@schemathesis.check
def answers_are_no_fault_of_the_server(_context, response, _case):
    """No status from 500 on, but 504 for a question whose own time was over."""
    if response.status_code < 500:
        return
    error = {}
    try:
        error = response.json().get("error", {})
    except ValueError:
        pass
    if (response.status_code, error.get("code")) != (504, "deadline"):
        raise AssertionError(f"status {response.status_code}: {error or response.text[:300]}")


@schemathesis.check
def errors_look_alike(_context, response, _case):
    """Every refusal of a route is JSON with a code, a message and the id of the request."""
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    content_type = response.headers.get("content-type", [""])
    if not any("application/json" in value for value in content_type):
        raise AssertionError(f"an error as {content_type}: {response.text[:300]}")
    body = response.json()
    # What is not ready, and a receipt of nothing but rejected events, have bodies of their own.
    if "parts" in body or "committed_seq" in body:
        return
    missing = [key for key in ("code", "message", "request_id") if not body["error"].get(key)]
    if missing:
        raise AssertionError(f"an error without {missing}: {body}")
