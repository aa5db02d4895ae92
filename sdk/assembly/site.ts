import { readDirectory, readFile } from "./fs";
import { Request, Response, percentDecode } from "./http";

/**
 * A folder of files by HTTP: with their types, index.html for directories, and no second transfer of what the client
 * has (RFC 9110, 13). Each file is read once and kept.
 *
 *     const site = new Site("/www");
 *     new HttpServer((request, response) => site.serve(request, response)) …
 */

/** One file as it is sent. */
class Page {
  constructor(
    readonly bytes: Uint8Array,
    readonly type: string,
    readonly tag: string,
  ) {}
}

function typeOf(path: string): string {
  const name = path.substring(path.lastIndexOf(".") + 1).toLowerCase();
  if (name == "html" || name == "htm") return "text/html;charset=utf-8";
  if (name == "css") return "text/css;charset=utf-8";
  if (name == "js" || name == "mjs") return "text/javascript;charset=utf-8";
  if (name == "txt" || name == "md") return "text/plain;charset=utf-8";
  if (name == "json") return "application/json";
  if (name == "svg") return "image/svg+xml";
  if (name == "png") return "image/png";
  if (name == "jpg" || name == "jpeg") return "image/jpeg";
  if (name == "gif") return "image/gif";
  if (name == "webp") return "image/webp";
  if (name == "ico") return "image/x-icon";
  if (name == "woff2") return "font/woff2";
  if (name == "wasm") return "application/wasm";
  if (name == "xml") return "application/xml";
  if (name == "pdf") return "application/pdf";
  return "application/octet-stream";
}

/** FNV-1a, 64 bits. */
function hashOf(bytes: Uint8Array): u64 {
  let hash: u64 = 0xcbf2_9ce4_8422_2325;
  for (let i = 0; i < bytes.length; i++) hash = (hash ^ bytes[i]) * 0x0100_0000_01b3;
  return hash;
}

export class Site {
  private readonly pages: Map<string, Page> = new Map();
  private readonly directories: Set<string> = new Set();

  /** Reads all that is in a folder. The program ends with a message if it cannot. */
  constructor(folder: string) {
    this.read(folder, "/");
  }

  private read(folder: string, path: string): void {
    const entries = readDirectory(folder).value;
    this.directories.add(path);
    for (let i = 0; i < entries.length; i++) {
      const name = entries[i].name;
      if (entries[i].isDirectory) {
        this.read(folder + "/" + name, path + name + "/");
        continue;
      }
      const bytes = readFile(folder + "/" + name).value;
      const tag = `"${hashOf(bytes).toString(16)}"`;
      const page = new Page(bytes, typeOf(name), tag);
      this.pages.set(path + name, page);
      if (name == "index.html") this.pages.set(path, page);
    }
  }

  /** Files and directories that can be asked for. */
  get size(): i32 {
    return this.pages.size;
  }

  /** Answers with the file that the request's path names, or says that there is none. */
  serve(request: Request, response: Response): void {
    const method = request.method;
    if (method != "GET" && method != "HEAD") {
      response.header("Allow", "GET, HEAD").fail(405);
      return;
    }
    const raw = request.path;
    const path = percentDecode(raw);
    if (path === null) {
      response.fail(400);
    } else if (this.pages.has(path)) {
      const page = this.pages.get(path);
      response.header("ETag", page.tag);
      if (matches(request.header("if-none-match"), page.tag)) response.status = 304;
      response.send(page.bytes, page.type);
    } else if (this.directories.has(path + "/")) {
      response.redirect(raw + "/", 301);
    } else {
      response.fail(404);
    }
  }
}

/** RFC 9110, 13.1.2: weakly. */
function matches(field: string | null, tag: string): bool {
  if (field === null) return false;
  if (field == "*") return true;
  const tags = field.split(",");
  for (let i = 0; i < tags.length; i++) {
    const one = tags[i].trim();
    if (one == tag || one == "W/" + tag) return true;
  }
  return false;
}
