// A list of tabs; what belongs to each is shown and hidden by the page.
export function render({model, el}) {
  const list = document.createElement("div")
  list.className = "tabs"
  list.setAttribute("role", "tablist")
  list.setAttribute("aria-label", model.label)
  el.append(list)
  const buttons = model.tabs.map(([key, text, help]) => {
    const button = document.createElement("button")
    button.type = "button"
    button.textContent = text
    button.title = help
    button.setAttribute("role", "tab")
    button.onclick = () => model.send_msg({tab: key})
    list.append(button)
    return [key, button]
  })
  const settle = () => {
    list.classList.toggle("dark", model.dark)
    for (const [key, button] of buttons) {
      button.setAttribute("aria-selected", key === model.active)
      button.tabIndex = key === model.active ? 0 : -1
    }
  }
  list.onkeydown = (event) => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key]
    if (!by) return
    event.preventDefault()
    event.stopPropagation()
    const at = buttons.findIndex(([, button]) => button === event.target)
    const [, next] = buttons[(at + by + buttons.length) % buttons.length]
    next.focus()
    next.click()
  }
  model.on("active", settle)
  model.on("dark", settle)
  settle()
}
