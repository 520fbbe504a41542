"""Echoes its variables, an empty line and its input, as a WSGI application."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    lines = [f"{name}={value}\n" for name, value in environ.items() if isinstance(value, str)]
    return ["".join(lines).encode("latin-1", "replace") + b"\n" + environ["wsgi.input"].read()]
