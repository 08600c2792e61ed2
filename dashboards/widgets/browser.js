// The history of the page, its theme, and its links to other pages.
const BURST_MS = 250 // picks that follow one another faster, as while an arrow key is held, are one entry of the history

// Kept for this tab: the last address of each page, and the run and the image shown last, whatever page showed them.
function remember({places}) {
  const {pathname, search} = window.location
  sessionStorage.setItem(`gpvae:${pathname}`, search)
  const [here, own] = [new URLSearchParams(search), places[pathname] ?? {}]
  if (!here.get(own.run)) return
  for (const [what, key] of Object.entries(own)) sessionStorage.setItem(`gpvae-${what}`, here.get(key) ?? "")
}

function keepHistory(model) {
  const {history} = window
  const push = history.pushState.bind(history)
  let step = false
  let last = 0
  // Panel pushes every change of the address. A moved slider, or what the page corrects, is no step to return from.
  history.pushState = (state, title, url) => {
    const entry = step && performance.now() - last > BURST_MS ? push : history.replaceState.bind(history)
    if (step) last = performance.now()
    step = false
    entry(state, title, url)
    remember(model)
  }
  model.on("steps", () => { step = true })
  window.addEventListener("popstate", () => { model.send_msg({address: window.location.search}); remember(model) })
}

// A link to another page leads to it as it was left, with the run and the image of this one; with another run, it is as
// at first.
function addressOf(path, theirs) {
  const [known, run] = [new URLSearchParams(sessionStorage.getItem(`gpvae:${path}`) ?? ""), sessionStorage.getItem("gpvae-run")]
  const query = theirs.run && run && known.get(theirs.run) !== run ? new URLSearchParams() : known
  for (const [what, key] of Object.entries(theirs)) {
    const value = sessionStorage.getItem(`gpvae-${what}`)
    if (value) query.set(key, value)
  }
  const text = query.toString()
  return text ? `${path}?${text}` : path
}

function aimLinks(model) {
  const aim = (event) => {
    const link = event.composedPath().find((part) => part.dataset?.page)
    const path = link?.dataset.page
    if (path && path !== window.location.pathname) link.href = addressOf(path, model.places[path] ?? {})
  }
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, aim)
}

function keepTheme(model) {
  const [, known = ""] = document.cookie.match(new RegExp(`(?:^|; )${model.theme}=([a-z-]+)`)) ?? []
  const keep = (name) => { document.cookie = `${model.theme}=${name}; path=/; max-age=31536000; SameSite=Lax` }
  const system = window.matchMedia("(prefers-color-scheme: dark)")
  const name = (dark) => (dark ? "dark" : "light")
  let chosen = known === "dark" || known === "light"
  let asked = null // the theme that the system, and not the user, is about to bring
  const follow = () => {
    if (chosen) return
    keep(`system-${name(system.matches)}`)
    if (system.matches !== model.dark) model.send_msg({dark: asked = system.matches})
  }
  model.on("dark", () => {
    if (model.dark !== asked) { chosen = true; keep(name(model.dark)) }
    asked = null
    follow() // the system may have changed once more meanwhile
  })
  system.addEventListener("change", follow)
  model.on("ready", follow) // a message that is sent before is lost
}

// What is not in the address is lost when the page is loaded again, as after its server has ended: the page says so.
function noteLoss(model) {
  const key = `gpvae-unkept:${window.location.pathname}`
  model.on("unkept", () => { if (model.unkept) sessionStorage.setItem(key, "yes"); else sessionStorage.removeItem(key) })
  model.on("ready", () => {
    if (!model.ready || !sessionStorage.getItem(key)) return
    sessionStorage.removeItem(key)
    model.send_msg({lost: true})
  })
}

export function render({model}) {
  keepHistory(model)
  aimLinks(model)
  keepTheme(model)
  noteLoss(model)
  // A page that the browser kept while others were shown has lost its server, without a word of it.
  window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload() })
}
