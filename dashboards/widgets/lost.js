// Runs when the connection to the server is lost. The address holds the view, so that loading it again goes on with it.
if (!window.gpvaeLost) {
  window.gpvaeLost = true
  const box = document.createElement("div")
  box.setAttribute("role", "alert")
  box.id = "connection-lost"
  box.textContent = "The connection to the server is lost: nothing here responds until it is there again. The page asks for "
    + "it every second, and then shows the same view; if the server has ended, start it again with gpvae explore."
  box.style.cssText = "position: fixed; inset: 52px 0 auto; z-index: 2000; margin: 0 auto; width: fit-content; max-width: 90vw; "
    + "box-sizing: border-box; padding: 10px 16px; border: 1px solid #b91c1c; border-radius: 4px; background: #fef2f2; color: #7f1d1d; "
    + "font: 14px/1.4 Roboto, sans-serif; box-shadow: 0 2px 8px rgba(0, 0, 0, 0.3)"
  document.body.append(box)
  const ask = async () => {
    try {
      await fetch("favicon.ico", {cache: "no-store"})
      window.location.reload()
    } catch {
      setTimeout(ask, 1000)
    }
  }
  setTimeout(ask, 1000)
}
