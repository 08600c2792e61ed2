// A list of tabs; what belongs to each is shown and hidden by the page.
export function render({model, el}) {
  const list = element("div", el, {class: "tabs", role: "tablist", "aria-label": model.label})
  const tabs = model.tabs.map(([key, text, help]) => (
    button(list, text, () => model.send_msg({tab: key}), {title: help, role: "tab", value: key})
  ))
  const settle = () => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab.value === model.active)
      tab.tabIndex = tab.value === model.active ? 0 : -1
    }
  }
  list.onkeydown = (event) => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key]
    if (!by) return
    event.preventDefault()
    event.stopPropagation()
    const next = tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length]
    next.focus()
    next.click()
  }
  model.on("active", settle)
  shade(model, list)
  settle()
}
