#!/bin/sh
# Installs Debian packages as root, and starts nothing that they would: tests run the programs of unbound, BIND,
# avahi and the like in namespaces of their own, and no machine is to become a server by them. What ran before may be
# started again when it is upgraded. Usage: tools/install.sh PACKAGE...
set -eu

policy=/usr/sbin/policy-rc.d
mark="# Put here by Skerry's tools/install.sh for the time of an installation."

# Names of what runs now, without suffix: systemd's units, or what init.d's scripts say.
running() {
  if [ -d /run/systemd/system ]; then
    systemctl list-units --plain --no-legend --state=active | sed -n 's/^\([^ ]*\)\.\(service\|socket\) .*/\1/p'
  elif command -v service >/dev/null 2>&1; then
    service --status-all 2>/dev/null | sed -n 's/^ *\[ + \] *//p'
  fi
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

fresh=
for package; do
  installed "$package" || fresh="$fresh $package"
done

# invoke-rc.d and deb-systemd-invoke ask it (Debian's policy-rc.d specification): 101 is "no".
# One that is there is somebody's own, and what it says goes.
if [ ! -e "$policy" ] || grep -qsF "$mark" "$policy"; then
  trap 'rm -f "$policy" "$policy.skerry"' EXIT
  trap 'exit 130' HUP INT TERM
  {
    echo "#!/bin/sh"
    echo "$mark"
    echo 'case $2 in *start*|*reload*) ;; *) exit 0 ;; esac'
    echo 'case ${1%.*} in'
    for name in $(running | sort -u); do
      case $name in *[!A-Za-z0-9@:_.+-]*) ;; *) echo "$name) exit 0 ;;" ;; esac
    done
    echo '*) exit 101 ;; esac'
  } >"$policy.skerry"
  chmod 755 "$policy.skerry"
  mv "$policy.skerry" "$policy"
fi

apt-get -q -y --no-install-recommends install "$@"

# Nor when the machine starts anew.
for package in $fresh; do
  for file in $(dpkg -L "$package"); do
    name=${file##*/}
    case $file in
      *@.*) ;;
      */systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.path)
        ! command -v systemctl >/dev/null 2>&1 || systemctl -q disable "$name" || true ;;
      /etc/init.d/*)
        ! command -v update-rc.d >/dev/null 2>&1 || update-rc.d "$name" disable || true ;;
    esac
  done
done
