/**
 * What of the kernel runs when the machine starts, when something changes, or a few times a second at most. The
 * compiler makes it small, and keeps it apart from what runs for each packet.
 */
const COLD = [
  "kernel/main/(init|checkDevices)",
  "kernel/(acpi|config|devices|log|memory|power|text)",
  "kernel/guest/(addrinfo|allow|interfaces|limits|mounts|services|spec|guests/(guestsInit|make|start|end))",
  "drivers/(buses|health|lines|manager|msi|pci|receive-slots|registry)",
  "drivers/intel/(address|life|reset)",
  "drivers/virtio/(bus|control|mmio|pci|transport)",
  "drivers/virtio/net/(bringUp|identify|start|stop|reset)",
  "drivers/rtl8139/chip",
  "net/(configured|dhcp|dhcpv6|igmp|mdns|mld|ndp|static)",
  "net/dns/secure/(anchors|security)",
  "net/wire/(dhcp|dhcpv6|mdns)",
  "net/link/(conflict|linklocal|neighbour/neighbourDoubt|rarp)",
  "net/icmp/(error|errorv6|limit|redirect)",
  "net/ip/(foresight|groups|listener|reached|report|route6|route/(compute(V4)?|linkOfBroadcast|routeError|sourceOf)|source6)",
  // And what would be inlined into the way of every packet.
  "net/ip/output6/(sendFragments|tooBig)",
  "net/ip/sources/source(Add|Remove|sInit)",
  "net/dns/(hosts|order|search|servers|special)",
  "net/filter",
  "net/membership/(membership[A-Z]\\w*|chooseInterface|interfaceFor|leave|loopRoute|to)",
  "net/route/(arrays|policy|redirect|rules|table)",
  "net/route/trie/trie(Set|Remove|Init)",
  "net/stack/(netInit|addInterfaces|linkChanged)",
  "net/tcp/sockopt",
  "net/virtual/(given|links/(virtualsStart|stands|isMade|refuse|make|kindOf|virtualsJoin|joinTo|ignored|follow|refresh))",
  "net/virtual/tunnel/(tunnelOpen|tunnelRefresh|loops|pathError|tell|unreachable|limited)",
  "net/virtual/(stations/stationsForget|vlan/vlanOpen)",
  "apps/[^/]*/main/start",
  "apps/http/(counters|status)",
];
const PATTERN = new RegExp(`^(${COLD.join("|")})(/|$)`);

/** Whether a function of the kernel's module is cold, by its name there. */
export const isCold = (name: string): boolean => PATTERN.test(name);
