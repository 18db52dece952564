"""What sort of content a file has, for the rules that match on media type.

By name first, from a table of our own: the system's mime.types differs from machine to machine, and without one Python
knows no .docx, .webp or .epub. Only a name that the table does not know lets the bytes speak.
"""

import re

UNKNOWN = "application/octet-stream"
HEAD_BYTES = 4096
"""How much of a file `media_type` makes use of."""

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

_TYPES = {
    # documents
    "application/pdf": "pdf",
    "application/postscript": "ps eps ai",
    "application/rtf": "rtf",
    "application/msword": "doc dot",
    "application/vnd.ms-excel": "xls xlt xlb",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsm",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": "xlsb",
    "application/vnd.ms-powerpoint": "ppt pps pot",
    "application/vnd.ms-outlook": "msg",
    "application/vnd.ms-word.document.macroenabled.12": "docm",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "pptm",
    _OOXML + "wordprocessingml.document": "docx",
    _OOXML + "wordprocessingml.template": "dotx",
    _OOXML + "spreadsheetml.sheet": "xlsx",
    _OOXML + "spreadsheetml.template": "xltx",
    _OOXML + "presentationml.presentation": "pptx",
    _OOXML + "presentationml.slideshow": "ppsx",
    _OOXML + "presentationml.template": "potx",
    _ODF + "text": "odt",
    _ODF + "text-template": "ott",
    _ODF + "spreadsheet": "ods",
    _ODF + "spreadsheet-template": "ots",
    _ODF + "presentation": "odp",
    _ODF + "presentation-template": "otp",
    _ODF + "graphics": "odg",
    _ODF + "formula": "odf",
    _ODF + "base": "odb",
    "application/vnd.visio": "vsd vss vst",
    "application/vnd.apple.pages": "pages",
    "application/vnd.apple.numbers": "numbers",
    "application/vnd.apple.keynote": "key",
    "application/epub+zip": "epub",
    "application/x-mobipocket-ebook": "mobi prc",
    "application/vnd.amazon.ebook": "azw azw3",
    "application/vnd.comicbook+zip": "cbz",
    "application/vnd.comicbook-rar": "cbr",
    "application/x-dvi": "dvi",
    "image/vnd.djvu": "djvu djv",
    "application/oxps": "oxps xps",
    # text
    "text/plain": "txt text log conf cfg ini lst",
    "text/markdown": "md markdown mkd",
    "text/x-rst": "rst",
    "text/asciidoc": "adoc asciidoc",
    "text/html": "html htm xhtml",
    "text/css": "css",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics ifb",
    "text/vcard": "vcf vcard",
    "text/vtt": "vtt",
    "text/x-tex": "tex ltx sty cls",
    "text/x-bibtex": "bib",
    "text/org": "org",
    "text/x-diff": "diff patch",
    "text/x-python": "py pyw pyi",
    "text/javascript": "js mjs cjs",
    "text/x-typescript": "ts tsx mts",
    "text/jsx": "jsx",
    "text/x-c": "c h",
    "text/x-c++": "cc cpp cxx hpp hh hxx",
    "text/x-csharp": "cs",
    "text/x-java": "java",
    "text/x-kotlin": "kt kts",
    "text/x-scala": "scala",
    "text/x-go": "go",
    "text/x-rust": "rs",
    "text/x-ruby": "rb",
    "text/x-perl": "pl pm",
    "text/x-php": "php",
    "text/x-lua": "lua",
    "text/x-swift": "swift",
    "text/x-haskell": "hs",
    "text/x-erlang": "erl",
    "text/x-elixir": "ex exs",
    "text/x-r": "r",
    "text/x-sql": "sql",
    "text/x-makefile": "mk mak",
    "text/x-cmake": "cmake",
    "text/x-scss": "scss",
    "text/x-sass": "sass",
    "text/x-less": "less",
    "application/x-sh": "sh bash zsh fish ksh",
    "application/x-bat": "bat cmd",
    "application/x-powershell": "ps1",
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/x-ndjson": "jsonl ndjson",
    "application/xml": "xml xsl xsd",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/x-subrip": "srt",
    "application/x-ipynb+json": "ipynb",
    "application/gpx+xml": "gpx",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "message/rfc822": "eml mht mhtml",
    "application/mbox": "mbox",
    # pictures
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/png": "png apng",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jxl": "jxl",
    "image/jp2": "jp2",
    "image/tiff": "tif tiff",
    "image/bmp": "bmp dib",
    "image/svg+xml": "svg svgz",
    "image/x-icon": "ico",
    "image/vnd.adobe.photoshop": "psd",
    "image/x-xcf": "xcf",
    "image/x-portable-anymap": "pnm",
    "image/x-portable-bitmap": "pbm",
    "image/x-portable-graymap": "pgm",
    "image/x-portable-pixmap": "ppm",
    "image/x-adobe-dng": "dng",
    "image/x-canon-cr2": "cr2",
    "image/x-canon-cr3": "cr3",
    "image/x-nikon-nef": "nef",
    "image/x-sony-arw": "arw",
    "image/x-fuji-raf": "raf",
    "image/x-olympus-orf": "orf",
    "image/x-panasonic-rw2": "rw2",
    "image/x-exr": "exr",
    "image/vnd.dxf": "dxf",
    "image/vnd.dwg": "dwg",
    # sound
    "audio/mpeg": "mp3 mp2 mpga",
    "audio/mp4": "m4a m4b",
    "audio/aac": "aac",
    "audio/ogg": "ogg oga spx",
    "audio/opus": "opus",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/aiff": "aif aiff aifc",
    "audio/midi": "mid midi",
    "audio/x-ms-wma": "wma",
    "audio/x-matroska": "mka",
    "audio/amr": "amr",
    "audio/x-mpegurl": "m3u",
    "application/vnd.apple.mpegurl": "m3u8",
    # films
    "video/mp4": "mp4 m4v mp4v",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/quicktime": "mov qt",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpeg mpg mpe m1v m2v",
    "video/mp2t": "m2ts mts2",
    "video/ogg": "ogv",
    "video/x-ms-wmv": "wmv",
    "video/x-flv": "flv",
    "video/3gpp": "3gp",
    "video/3gpp2": "3g2",
    # fonts and models
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/collection": "ttc",
    "model/stl": "stl",
    "model/obj": "obj",
    "model/3mf": "3mf",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "application/x-blender": "blend",
    # archives and disk images
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2 tbz tbz2",
    "application/x-xz": "xz txz",
    "application/zstd": "zst tzst",
    "application/x-lzma": "lzma",
    "application/x-lz4": "lz4",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/x-cpio": "cpio",
    "application/x-iso9660-image": "iso",
    "application/x-qemu-disk": "qcow2 qcow",
    "application/x-virtualbox-vdi": "vdi",
    "application/x-vmdk-disk": "vmdk",
    "application/x-apple-diskimage": "dmg",
    "application/java-archive": "jar war ear",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.debian.binary-package": "deb",
    "application/x-rpm": "rpm",
    "application/vnd.flatpak": "flatpak",
    # programs and data
    "application/vnd.microsoft.portable-executable": "exe dll",
    "application/x-msi": "msi",
    "application/x-sharedlib": "so",
    "application/x-object": "o",
    "application/x-archive": "a",
    "application/x-python-code": "pyc pyo",
    "application/java-vm": "class",
    "application/wasm": "wasm",
    "application/vnd.sqlite3": "sqlite sqlite3 db3",
    "application/x-hdf5": "h5 hdf5",
    "application/vnd.apache.parquet": "parquet",
    "application/x-msaccess": "mdb accdb",
    "application/x-bittorrent": "torrent",
    "application/pgp-encrypted": "gpg pgp",
    "application/pgp-signature": "asc sig",
    "application/pkcs12": "p12 pfx",
    "application/x-pem-file": "pem",
    "application/pkix-cert": "cer crt",
    "application/x-desktop": "desktop",
}
_BY_EXTENSION = {e.encode(): media_type for media_type, extensions in _TYPES.items() for e in extensions.split()}

_CALLED_HERE = {  # what puremagic says -> the name in the table above
    "application/x-gzip": "application/gzip",
    "application/x-bzip": "application/x-bzip2",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/mp3": "audio/mpeg",
    "application/ogg": "audio/ogg",
    "image/x-ms-bmp": "image/bmp",
    "image/vnd.microsoft.icon": "image/x-icon",
    "text/xml": "application/xml",
}
_WELL_FORMED = re.compile(rb"[a-z]+/[a-z0-9.+-]{1,100}")
_OFFICE_PARTS = (
    (b"word/", "wordprocessingml.document"),
    (b"xl/", "spreadsheetml.sheet"),
    (b"ppt/", "presentationml.presentation"),
)


def media_type(name: bytes, head: bytes | None = None) -> str:
    """The media type of a file called `name` (its last component), lower case, without parameters.

    `head`: its first bytes (HEAD_BYTES are enough), used if the name says nothing. UNKNOWN where neither does.
    """
    stem, dot, extension = name.rpartition(b".")
    if dot and stem:
        known = _BY_EXTENSION.get(extension.lower())
        if known is not None:
            return known
    return _by_content(name, head[:HEAD_BYTES]) if head else UNKNOWN


def _by_content(name: bytes, head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(head)
    import puremagic  # 20 ms, and most files are known by name

    try:
        guesses = puremagic.magic_string(head, filename=name.decode(errors="replace"))
    except (puremagic.PureError, ValueError):
        guesses = []
    for guess in guesses:
        if guess.mime_type:
            said = str(guess.mime_type).lower()
            return _CALLED_HERE.get(said, said)
    return "text/plain" if _is_text(head) else UNKNOWN


def _in_zip(head: bytes) -> str:
    """What a zip holds by its first members; puremagic takes every zip without a name for a .docx."""
    if head[30:38] == b"mimetype":  # OpenDocument and EPUB: stored first and uncompressed, its length in the header
        said = head[38 : 38 + int.from_bytes(head[18:22], "little")]
        return said.decode() if _WELL_FORMED.fullmatch(said) else "application/zip"
    if head[30:49] == b"[Content_Types].xml":
        for part, kind in _OFFICE_PARTS:
            if part in head:
                return _OOXML + kind
    return "application/zip"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as exc:
        if exc.start < len(head) - 3:  # else: a character cut in two by the end of head
            return False
        text = head[: exc.start].decode()
    return not any(c < " " and c not in "\t\n\r\f\x1b" for c in text)
