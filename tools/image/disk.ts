/**
 * One file that machines boot: as a CD and as a disk, on BIOS and on UEFI.
 *
 * It is an ISO 9660 file system with the image, GRUB's menu, and GRUB twice: for BIOS as El Torito's
 * boot image, which the hybrid MBR in the file's first sector also finds on a disk; for UEFI in a small
 * FAT file system, which is El Torito's second image and, for a disk, an EFI system partition.
 * GRUB's core holds the modules that the menu needs, so nothing else of GRUB is in the file.
 * The same image and menu give the same bytes: all dates are SOURCE_DATE_EPOCH, or a fixed one.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export interface DiskOptions {
  /** The ELF to boot. */
  image: string;
  /** The file to write. */
  out: string;
  /** A folder for what is made on the way; emptied first. */
  work: string;
  /** Words that every menu entry gives the kernel. */
  append: string;
  /** Seconds that the menu waits for a key. */
  timeout: number;
}

const GRUB = "/usr/lib/grub";

/** What the two GRUBs have in common: the menu, its editor, the file system, the protocol. */
const MODULES = ["normal", "iso9660", "search_fs_file", "multiboot2", "serial", "terminal", "test"];
/** Disks as BIOS shows them; partitions and the screen as UEFI does. */
const BIOS_MODULES = ["biosdisk", "halt", "reboot"];
const UEFI_MODULES = ["part_gpt", "part_msdos", "efi_gop", "halt", "reboot"];

/** Finds the file system by what is on it: it may be the disk, the CD, or beside the partition. */
const FIRST_CONFIG = `search.file /boot/skerry.elf root
set prefix=($root)/boot/grub
normal
`;

/** A word as GRUB's language takes it literally. */
function quoted(word: string): string {
  if (word.includes("'")) throw new Error(`a quotation mark cannot be in a boot menu: ${word}`);
  return `'${word}'`;
}

/**
 * The menu. A machine without the serial port keeps to its screen. On BIOS the screen stays in text
 * mode, which every VGA has; UEFI knows only pixels.
 */
function menu(append: string, timeout: number): string {
  const words = append.split(/\s+/).filter(Boolean).map(quoted);
  const entry = (title: string, more: string[]): string =>
    [
      `menuentry "${title}" {`,
      `  multiboot2 /boot/skerry.elf${["", ...more, ...words].join(" ")}`,
      `  if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi`,
      "}",
    ].join("\n");
  return [
    `set timeout=${timeout}`,
    "if serial --unit=0 --speed=115200; then",
    "  terminal_input console serial",
    "  terminal_output console serial",
    "fi",
    entry("Skerry, log on the screen and the serial port (COM1, 115200 8N1)", []),
    entry("Skerry, log on the screen", ["console=screen"]),
    entry("Skerry, log on the serial port", ["console=serial"]),
    "",
  ].join("\n");
}

export function buildDisk({ image, out, work, append, timeout }: DiskOptions): void {
  for (const platform of ["i386-pc", "x86_64-efi"]) {
    if (!existsSync(join(GRUB, platform))) {
      throw new Error(`${GRUB}/${platform} is missing: make image installs it`);
    }
  }
  const epoch = process.env["SOURCE_DATE_EPOCH"] ?? "1767225600";
  const env = { ...process.env, SOURCE_DATE_EPOCH: epoch };
  /** As ECMA-119 writes dates: year to hundredths of a second, digits only. */
  const date = new Date(Number(epoch) * 1000).toISOString().replace(/\D/g, "").slice(0, 16);
  const run = (tool: string, ...words: string[]): void => {
    const { status, stderr, error } = spawnSync(tool, words, { cwd: work, env, encoding: "utf8" });
    if (error) throw new Error(`${tool} cannot be run: make image installs it`);
    const reason = stderr.trim().split("\n").at(-1);
    if (status !== 0) throw new Error(`${tool} failed: ${reason}`);
  };
  const core = (format: string, platform: string, to: string, modules: string[]): void =>
    run(
      ...(["grub-mkimage", "-O", format, "-d", join(GRUB, platform)] as const),
      ...["-p", "/boot/grub", "-c", "first.cfg", "-o", to, ...MODULES, ...modules],
    );

  rmSync(work, { recursive: true, force: true });
  const grub = join(work, "tree/boot/grub");
  mkdirSync(grub, { recursive: true });
  copyFileSync(image, join(work, "tree/boot/skerry.elf"));
  writeFileSync(join(work, "first.cfg"), FIRST_CONFIG);
  writeFileSync(join(grub, "grub.cfg"), menu(append, timeout));
  core("i386-pc-eltorito", "i386-pc", "tree/boot/grub/bios.img", BIOS_MODULES);
  core("x86_64-efi", "x86_64-efi", "bootx64.efi", UEFI_MODULES);

  // A floppy's geometry, with room for the program, two folders and the tables.
  const [heads, sectors] = [2, 18];
  const cylinders = Math.ceil(
    (statSync(join(work, "bootx64.efi")).size + 24 * 1024) / (heads * sectors * 512),
  );
  const fat = "tree/boot/grub/uefi.img";
  const size = ["-t", String(cylinders), "-h", String(heads), "-n", String(sectors)];
  run("mformat", "-C", "-i", fat, ...size, "-N", "0", "::");
  run("mmd", "-i", fat, "::EFI", "::EFI/BOOT");
  run("mcopy", "-i", fat, "bootx64.efi", "::EFI/BOOT/BOOTX64.EFI");

  const partial = `${out}.part`;
  run(
    ...(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "SKERRY"] as const),
    ...["-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"],
    ...["--grub2-boot-info", "--grub2-mbr", join(GRUB, "i386-pc/boot_hybrid.img")],
    ...["--efi-boot", "boot/grub/uefi.img", "-efi-boot-part", "--efi-boot-image"],
    ...["--protective-msdos-label", "--set_all_file_dates", date],
    ...["-o", partial, "tree"],
  );
  renameSync(partial, out);
}
