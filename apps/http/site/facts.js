const facts = document.getElementById("facts");

async function refresh() {
  const status = await (await fetch("/status")).json();
  const shown = status.interfaces.find((item) => item.address !== "127.0.0.1") ?? {};
  const values = {
    uptime: `${Number(status.uptime).toFixed(1)} s`,
    interface: `${shown.model ?? "none"}, ${shown.mac ?? ""}`,
    address: shown.address ?? "",
    requests: status.http.requests.toLocaleString(),
  };
  for (const cell of facts.querySelectorAll("[data-fact]")) {
    cell.textContent = values[cell.dataset.fact];
  }
  facts.hidden = false;
}

refresh();
setInterval(refresh, 2000);
