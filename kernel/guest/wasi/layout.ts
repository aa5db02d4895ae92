/** Sizes and numbers of WASI preview 1 (typenames.witx) that more than one file needs. */

/** Sizes of `iovec`, `fdstat`, `filestat`, `prestat`, `dirent`. */
export const IOVEC: u32 = 8;
export const FDSTAT: u32 = 24;
export const FILESTAT: u32 = 64;
export const PRESTAT: u32 = 8;
export const DIRENT: u32 = 24;

/** The most buffers in a list (Linux's IOV_MAX). */
export const IOVECS_MOST: u32 = 1024;

/** `fdflags`. */
export const enum FdFlag {
  Append = 1,
  DataSync = 2,
  NonBlock = 4,
  ReadSync = 8,
  Sync = 16,
  /** All that there are. */
  All = 31,
}

/** `lookupflags`. */
export const SYMLINK_FOLLOW: u32 = 1;
