// A button that takes one image file. One that is too large, as a photograph of a phone, is reduced before it is sent.
const KINDS = "image/png,image/jpeg,image/gif,image/bmp,image/webp"
const SIDE = 1024 // pixels of the longer side of a reduced image, many more than any model has

// The browser turns a photograph the right way up.
async function reduced(file) {
  const image = await createImageBitmap(file, {imageOrientation: "from-image"})
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height))
  const [width, height] = [image.width, image.height].map((pixels) => Math.max(1, Math.round(pixels * scale)))
  const canvas = new OffscreenCanvas(width, height)
  const pen = canvas.getContext("2d")
  pen.imageSmoothingQuality = "high"
  pen.drawImage(image, 0, 0, width, height)
  return canvas.convertToBlob({type: "image/png"})
}

export function render({model, el}) {
  const about = {title: "Look at an image of your own; it is resized to the data set's size"}
  const opener = button(el, "Upload", () => input.click(), about)
  const input = element("input", el, {type: "file", accept: KINDS, "aria-label": "File to upload", hidden: ""})
  shade(model, opener)
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1)
  input.onchange = async () => {
    const [file] = input.files
    if (!file) return
    try {
      const sent = file.size > model.limit ? await reduced(file) : file
      const bytes = new Uint8Array(await sent.arrayBuffer())
      let text = ""
      for (let k = 0; k < bytes.length; k += 32768) text += String.fromCharCode(...bytes.subarray(k, k + 32768))
      model.send_msg({content: btoa(text)})
    } catch {
      model.send_msg({refused: `wanted a picture that the browser can reduce, or a file of at most ${megabytes(model.limit)} MB; '${file.name}' has ${megabytes(file.size)} MB and cannot be read`})
    }
    input.value = ""
  }
}
