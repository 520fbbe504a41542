"""
The Django project of the application suite (test/support/application-suite.ts), in one file.
Run: uwsgi --fastcgi-socket PATH --plugin python3 --chdir DIRECTORY --module application
"""

import hashlib
import sys
import time

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    APPEND_SLASH=False,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)
django.setup()


def as_text(value):
    """WSGI gives bytes as latin1 text (PEP 3333); JSON wants UTF-8."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def echo(request, rest=""):
    variables = {name: as_text(value) for name, value in request.META.items() if isinstance(value, str)}
    # Django has turned this one, and only this one, into text already.
    variables["PATH_INFO"] = request.path_info
    return JsonResponse({"variables": variables, "query": request.GET.dict()})


def form(request):
    return JsonResponse({"fields": request.POST.dict()})


def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse(
        {
            "fields": request.POST.dict(),
            "filename": file.name,
            "bytes": file.size,
            "sha256": digest.hexdigest(),
        }
    )


def body(request):
    digest = hashlib.sha256()
    size = 0
    while chunk := request.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return JsonResponse({"bytes": size, "sha256": digest.hexdigest()})


def cookies(request):
    response = JsonResponse({"cookies": request.COOKIES})
    response.set_cookie("first", "one")
    response.set_cookie("second", "two")
    return response


def redirect(request):
    return HttpResponseRedirect(request.META["SCRIPT_NAME"] + "/echo?from=redirect")


def broken(request):
    return HttpResponse("broken on purpose", status=500, content_type="text/plain")


def pattern(size):
    """Blocks of 64 KiB, each with its number in front, so that a lost, repeated or moved block is seen."""
    filler = b"0123456789abcdef" * 4096
    block = 0
    while size > 0:
        yield (b"%010d\n" % block + filler[11:])[:size]
        size -= 65536
        block += 1


def download(request):
    size = int(request.GET["bytes"])
    response = StreamingHttpResponse(pattern(size), content_type="application/octet-stream")
    if "length" in request.GET:
        response["Content-Length"] = str(size)
    return response


def three_events():
    for event in (1, 2, 3):
        yield f"data: {event}\n\n"
        time.sleep(0.1)


def events(request):
    return StreamingHttpResponse(three_events(), content_type="text/event-stream")


def log(request):
    print("a message for the log", file=sys.stderr, flush=True)
    return HttpResponse("logged", content_type="text/plain")


def missing(request, exception):
    return HttpResponse("no such route", status=404, content_type="text/plain")


handler404 = missing
urlpatterns = [
    path("echo", echo),
    re_path("^echo/(?P<rest>.*)$", echo),
    path("form", form),
    path("upload", upload),
    path("body", body),
    path("cookies", cookies),
    path("redirect", redirect),
    path("broken", broken),
    path("download", download),
    path("events", events),
    path("log", log),
]

application = get_wsgi_application()
