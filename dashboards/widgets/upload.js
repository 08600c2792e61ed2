// A button that takes one image file. Size and kind are checked before anything is sent.
const KINDS = "image/png,image/jpeg,image/gif,image/bmp,image/webp"

export function render({model, el}) {
  const about = {title: "Look at an image of your own; it is resized to the data set's size"}
  const opener = button(el, "Upload", () => input.click(), about)
  const input = element("input", el, {type: "file", accept: KINDS, "aria-label": "File to upload", hidden: ""})
  shade(model, opener)
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1)
  input.onchange = async () => {
    const [file] = input.files
    if (!file) return
    if (file.size > model.limit) {
      model.send_msg({refused: `wanted a file of at most ${megabytes(model.limit)} MB, '${file.name}' has ${megabytes(file.size)} MB`})
    } else {
      const bytes = new Uint8Array(await file.arrayBuffer())
      let text = ""
      for (let k = 0; k < bytes.length; k += 32768) text += String.fromCharCode(...bytes.subarray(k, k + 32768))
      model.send_msg({content: btoa(text)})
    }
    input.value = ""
  }
}
