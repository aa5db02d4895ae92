#!/bin/sh
# Installs what a target of the Makefile needs and this machine lacks: Debian packages, as root or
# through sudo, and the npm packages. Usage: tools/setup.sh build|image|hosted|run|debug|check|fuzz|test|bench
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "skerry: $*" >&2
  exit 1
}

command -v node >/dev/null 2>&1 || fail "Node 20.19 or later is missing: install it (nodejs.org)"
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  fail "Node 20.19 or later is needed, this is $(node --version): install it (nodejs.org)"
command -v npm >/dev/null 2>&1 || fail "npm is missing: install it (it comes with Node)"

packages=
# need COMMAND PACKAGE: the package is wanted if the command is not there.
need() {
  command -v "$1" >/dev/null 2>&1 && return
  case " $packages " in *" $2 "*) ;; *) packages="$packages $2" ;; esac
}

need_build() {
  case ${CC:-gcc} in
    *clang*) need "$CC" clang && need ld.lld lld ;;
    *) need gcc gcc && need ld binutils ;;
  esac
  # Guests in C, which skerry.toml names by their sources.
  ! grep -qs '^source *= *".*\.c"' "apps/${APP:-http}/skerry.toml" || need_wasi
}
# The file that boots everywhere: GRUB for both kinds of firmware, and what makes its file systems.
need_image() {
  need_build
  need grub-mkimage grub-common
  [ -d /usr/lib/grub/i386-pc ] || packages="$packages grub-pc-bin"
  [ -d /usr/lib/grub/x86_64-efi ] || packages="$packages grub-efi-amd64-bin"
  need xorriso xorriso
  need mformat mtools
}
need_hosted() {
  need_build
  [ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
}
need_run() {
  need_build
  need qemu-system-x86_64 qemu-system-x86
}
# need_clang_rt FILE SUFFIX: FILE of clang's run-time library; its package has clang's version in its name.
need_clang_rt() {
  if command -v clang >/dev/null 2>&1; then
    [ -e "$1" ] && return
    version=$(clang -dumpversion)
  else
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
  fi
  [ -z "${version%%.*}" ] || packages="$packages libclang-rt-${version%%.*}-dev$2"
}
need_fuzz() {
  need_hosted
  need clang clang
  need_clang_rt "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a 2>/dev/null)" ""
}
# A C compiler for Wasm programs.
need_wasi() {
  need clang clang
  need wasm-ld lld
  [ -e /usr/include/wasm32-wasi/stdio.h ] || packages="$packages wasi-libc"
  need_clang_rt "$(clang --target=wasm32-wasi -print-libgcc-file-name 2>/dev/null)" -wasm32
}
need_test() {
  need_run
  need_image
  need bochs bochs
  need script bsdutils
  [ -e /usr/share/bochs/BIOS-bochs-latest ] || packages="$packages bochsbios"
  [ -e /usr/share/bochs/VGABIOS-lgpl-latest ] || packages="$packages vgabios"
  [ -e /usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so ] || packages="$packages bochs-term"
  [ -e /usr/share/ovmf/OVMF.fd ] || packages="$packages ovmf"
  need_fuzz
  need_wasi
  need dpkg-source dpkg-dev
  [ -e /usr/lib/rustlib/wasm32-wasi ] || packages="$packages rustc libstd-rust-dev-wasm32"
  need llvm-dwarfdump llvm
  need gdb gdb
  need clang clang
  need ld.lld lld
  need curl curl
  need ip iproute2
  need sysctl procps
  need ping iputils-ping
  need dnsmasq dnsmasq-base
  need radvd radvd
  need udhcpc udhcpc
  need rarpd rarpd
  need dhclient isc-dhcp-client
  need unbound unbound
  need avahi-daemon avahi-daemon
  need named bind9
  need dnssec-signzone bind9-utils
  need iperf3 iperf3
  need tshark tshark
  need socat socat
  need traceroute traceroute
  need tracepath iputils-tracepath
  need mtr mtr-tiny
  need nmap nmap
  need bird bird2
  need linux.uml user-mode-linux
  need busybox busybox
  [ -e /usr/lib/python3/dist-packages/scapy ] || packages="$packages python3-scapy"
  [ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
}
need_bench() {
  need_run
  need_hosted
  need valgrind valgrind
  need curl curl
  need ip iproute2
  need sysctl procps
  need ping iputils-ping
  need iperf3 iperf3
  need wrk wrk
  need cpio cpio
  need xz xz-utils
  need unbound unbound
  [ -e /usr/include/unbound.h ] || packages="$packages libunbound-dev"
}

case ${1:?} in
  build) need_build ;;
  image) need_image ;;
  hosted) need_hosted ;;
  run) need_run ;;
  debug) need_run && need gdb gdb ;;
  check) ;;
  fuzz) need_fuzz ;;
  test) need_test ;;
  bench) need_bench ;;
  *) fail "setup.sh: no such target: $1" ;;
esac

# quietly WHAT HOW-LONG COMMAND...: its output goes to build/setup.log and is shown if it fails.
quietly() {
  what=$1 long=$2
  shift 2
  printf '  %s (%s) … ' "$what" "$long" >&2
  start=$(date +%s)
  mkdir -p build
  if ! "$@" >build/setup.log 2>&1; then
    echo failed >&2
    tail -n 20 build/setup.log >&2
    fail "could not finish: $what"
  fi
  echo "$(($(date +%s) - start)) s" >&2
}

if [ -n "$packages" ]; then
  packages=${packages# }
  command -v apt-get >/dev/null 2>&1 || fail "missing; install what Debian calls: $packages"
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "missing; as root: apt-get install $packages"
    as_root=sudo
    [ -t 0 ] || as_root="sudo -n"
    $as_root true || fail "missing, and sudo refused; as root: apt-get install $packages"
  fi
  export DEBIAN_FRONTEND=noninteractive
  quietly "apt-get update" "some seconds" $as_root apt-get -q update
  # shellcheck disable=SC2086
  quietly "apt-get install $packages" "up to a few minutes" \
    $as_root env DEBIAN_FRONTEND=noninteractive sh tools/install.sh $packages
fi

# A link is somebody's own arrangement: left alone.
if [ ! -L node_modules ] && ! cmp -s package-lock.json node_modules/.skerry-lock; then
  quietly "npm ci" "about 20 s" npm ci --no-progress
  cp package-lock.json node_modules/.skerry-lock
fi
