// From the loader's 32-bit protected mode to C at -2 GiB.
//
// Both protocols enter here with paging off, interrupts off and EBX pointing at their boot
// information; Multiboot2 says so in EAX (Multiboot2 3.3), PVH by the magic that EBX points at
// (Xen, "x86/HVM direct boot ABI"). Nothing is known of where the image was loaded, and there is
// no stack: the first word of the boot information lends four bytes to one `call`.

#define HIGH 0xffffffff80000000
#define PHYSICAL(symbol) (symbol - HIGH)(%ebp) // EBP: where the image is, less where it was linked
#define TABLE 0x003 // page table entries: present, writable
#define LARGE 0x083 // and 2 MiB
#define KERNEL_STACK_BYTES 65536
#define IST_STACK_BYTES 8192

  // Multiboot2 header (3.1): may be placed anywhere (3.1.11), and takes a screen of pixels (3.1.10), of
  // the loader's choice, where there is no text mode.
  .section .multiboot2, "a"
  .balign 8
multiboot2:
  .long 0xe85250d6, 0, multiboot2_end - multiboot2, -(0xe85250d6 + (multiboot2_end - multiboot2))
  .long 10, 24, 0x200000, 0xfffff000, 0x200000, 1 // lowest, highest, alignment, prefer low
  .long 5 | 1 << 16, 20, 0, 0, 32, 0 // optional; any width and height; the last to align
  .long 0, 8
multiboot2_end:

  // PVH: XEN_ELFNOTE_PHYS32_ENTRY, the physical address to enter at.
  .section .note.pvh, "a", @note
  .balign 4
  .long 4, 8, 18
  .asciz "Xen"
  .quad entry - HIGH

  .section .entry, "ax"
  .code32
  .globl entry
entry:
  cld; cli
  movl %eax, %esi
  rdtsc
  movl %eax, %edi
  movl %edx, %ecx

  movl (%ebx), %eax
  leal 4(%ebx), %esp
  call 1f
1:
  popl %ebp
  movl %eax, (%ebx)
  subl $(1b - HIGH), %ebp

  leal PHYSICAL(kernel_stack_top), %esp
  .irp word, %ecx, %edi, $0, %ebp, $0, %ebx, $0, %esi // boot_main's arguments, the last first
  pushl \word
  .endr

  movl $0x80000000, %eax
  cpuid
  cmpl $0x80000001, %eax
  jb not_64_bit
  movl $0x80000001, %eax
  cpuid
  btl $29, %edx // long mode
  jnc not_64_bit

  // Tables to start with: all of the low 4 GiB as it is, and 1 GiB of it, from where the image
  // lies, at -2 GiB. One directory pointer table serves both. paging.c replaces them.
  .macro fill count, step // entries at EDX, from EAX on
  movl $\count, %ecx
1:
  movl %eax, (%edx)
  addl $\step, %eax
  addl $8, %edx
  loop 1b
  .endm
  leal PHYSICAL(page_tables), %edi
  leal 0x1000 + TABLE(%edi), %eax
  movl %eax, (%edi)
  movl %eax, 511 * 8(%edi)
  leal 0x2000 + TABLE(%edi), %eax
  leal 0x1000(%edi), %edx
  fill 4, 0x1000
  movl %eax, 0x1000 + 510 * 8(%edi)
  leal 0x2000(%edi), %edx
  movl $LARGE, %eax
  fill 2048, 0x200000
  leal LARGE(%ebp), %eax
  fill 512, 0x200000

  movl %edi, %cr3
  movl $0x20, %eax // PAE
  movl %eax, %cr4
  movl $0xc0000080, %ecx // EFER
  rdmsr
  orl $0x100, %eax // LME
  wrmsr
  movl %cr0, %eax
  orl $0x80010000, %eax // PG, WP
  movl %eax, %cr0
  leal PHYSICAL(gdt), %eax
  leal PHYSICAL(gdt_pointer), %edx
  movl %eax, 2(%edx)
  lgdt (%edx)
  leal PHYSICAL(entry_64), %eax
  pushl $0x08 // the GDT's code segment
  pushl %eax
  lret

not_64_bit: // said on COM1, as the firmware set it up, and on VGA's text
  leal PHYSICAL(not_64_bit_text), %esi
  movl $0xb8000, %edi
1:
  movl $100000, %ecx
2:
  movw $0x3fd, %dx // LSR: until THR is empty
  inb %dx, %al
  testb $0x20, %al
  loopz 2b
  movw $0x3f8, %dx
  movb $0x07, %ah // grey on black
  lodsb
  outb %al, %dx
  stosw
  cmpb $'\n', %al
  jne 1b
3:
  hlt
  jmp 3b
not_64_bit_text:
  .ascii "Skerry needs a 64-bit processor\n"

  .code64
entry_64:
  movabsq $entry_high, %rax
  jmp *%rax
entry_high:
  movq $kernel_stack_top - 4 * 8, %rsp // the same stack, by its other address
  movq $gdt, gdt_pointer + 2
  lgdt gdt_pointer
  xorl %eax, %eax
  .irp segment, ds, es, fs, gs, ss
  movl %eax, %\segment
  .endr
  .irp argument, rdi, rsi, rdx, rcx
  popq %\argument
  .endr
  xorl %ebp, %ebp // the end of every backtrace
  call boot_main
  ud2

  .data
  .balign 8
  .globl gdt
gdt: // null, 64-bit code, and the task state segment (two slots, set by traps.c)
  .quad 0, 0x00209a0000000000, 0, 0
gdt_pointer:
  .short 4 * 8 - 1
  .quad 0

  // Below each stack lies a page that paging.c leaves unmapped.
  .bss
  .balign 4096
  .globl kernel_stack_guard, kernel_stack_top, ist_stacks
kernel_stack_guard:
  .skip 4096 + KERNEL_STACK_BYTES
kernel_stack_top:
ist_stacks:
  .skip 5 * (4096 + IST_STACK_BYTES)
