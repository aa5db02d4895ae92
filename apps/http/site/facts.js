const facts = document.getElementById("facts");

async function refresh() {
  const { uptime, interfaces, http } = await (await fetch("/status")).json();
  const shown = interfaces.find((item) => item.model !== "loopback") ?? {};
  const values = [
    `${uptime.toFixed(1)} s`,
    `${shown.model ?? "none"}, ${shown.mac ?? ""}`,
    shown.address ?? "",
    http.requests.toLocaleString(),
  ];
  facts.querySelectorAll("dd").forEach((cell, i) => (cell.textContent = values[i]));
  facts.hidden = false;
}

refresh();
setInterval(refresh, 2000);
