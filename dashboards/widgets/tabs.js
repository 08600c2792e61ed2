// A list of tabs; what belongs to each is shown and hidden by the page.
export function render({model, el}) {
  const list = element("div", el, {class: "tabs", role: "tablist", "aria-label": model.label})
  const buttons = model.tabs.map(([key, text, help]) => (
    [key, button(list, text, () => model.send_msg({tab: key}), {title: help, role: "tab"})]
  ))
  const settle = () => {
    for (const [key, tab] of buttons) {
      tab.setAttribute("aria-selected", key === model.active)
      tab.tabIndex = key === model.active ? 0 : -1
    }
  }
  list.onkeydown = (event) => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key]
    if (!by) return
    event.preventDefault()
    event.stopPropagation()
    const at = buttons.findIndex(([, tab]) => tab === event.target)
    const [, next] = buttons[(at + by + buttons.length) % buttons.length]
    next.focus()
    next.click()
  }
  model.on("active", settle)
  shade(model, list)
  settle()
}
