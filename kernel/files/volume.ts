/**
 * The memory of a RAM directory: a run of pages of which everything in it is made, so that its bytes
 * bound names and holes in files as well as data. Files take pages as they are written, and give them
 * back when they are cut or removed; taking and giving costs the same however full it is.
 *
 *   | Volume, buckets of names, stack of free pages | pages … |
 *
 * A page's number is its distance from the start, so 0 is none.
 */

export const PAGE_SHIFT: u32 = 12;
export const PAGE: u32 = 1 << PAGE_SHIFT;

/** What a volume needs before it holds anything: its head, the root, and a file with a name. */
export const VOLUME_LEAST: u32 = 8 * PAGE;
/** Bytes of head for a page: two buckets and a place on the stack. */
const HEAD_PER_PAGE: u32 = 12;


@unmanaged
export class Volume {
  /** Pages, those of the head included. */
  private pages: u32;
  private first: u32;
  /** Pages from here on have not been used since the volume was made empty. */
  private fresh: u32;
  /** Pages given back. */
  private given: u32;
  private stack: usize;
  /** Heads of the chains of names (directory.ts): `buckets`, a power of two. */
  table: usize;
  buckets: u32;
  /** Page of inodes with room (inode.ts). */
  inodes: u32;
  /** Number of the topmost directory. */
  root: u32;


  @inline page(number: u32): usize {
    return changetype<usize>(this) + ((<usize>number) << PAGE_SHIFT);
  }

  /** Pages that are free. */
  @inline get free(): u32 {
    return this.pages - this.fresh + this.given;
  }

  /** Pages that there are to take when it is empty. */
  @inline get capacity(): u32 {
    return this.pages - this.first;
  }

  /** Takes it over: `bytes` at this address. Cost: its head. */
  init(bytes: u32): void {
    const pages = bytes >> PAGE_SHIFT;
    let buckets: u32 = 8;
    while (buckets < pages) buckets <<= 1;
    this.pages = pages;
    this.table = changetype<usize>(this) + ((offsetof<Volume>() + 63) & ~63);
    this.buckets = buckets;
    this.stack = this.table + ((<usize>buckets) << 2);
    const head = this.stack + ((<usize>pages) << 2) - changetype<usize>(this);
    this.first = (<u32>head + PAGE - 1) >> PAGE_SHIFT;
    assert(<u32>head <= offsetof<Volume>() + 64 + pages * HEAD_PER_PAGE);
    this.fresh = this.first;
    this.given = 0;
    this.inodes = 0;
    this.root = 0;
    memory.fill(this.table, 0, (<usize>buckets) << 2);
  }

  /** A page, not cleared; 0 when there is none. */
  take(): u32 {
    if (this.given) {
      this.given--;
      return load<u32>(this.stack + ((<usize>this.given) << 2));
    }
    return this.fresh < this.pages ? this.fresh++ : 0;
  }

  /** The same, of zeroes. */
  takeCleared(): u32 {
    const page = this.take();
    if (page) memory.fill(this.page(page), 0, PAGE);
    return page;
  }

  give(page: u32): void {
    store<u32>(this.stack + ((<usize>this.given) << 2), page);
    this.given++;
  }
}
