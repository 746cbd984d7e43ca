/* The worker in which the theme searches.

   A word that begins with hyphens means, to the theme's search, "without this word", or is no query at all; here most such
   words are options (`--retry-failed`), so that the hyphens are taken off.

   Pages that are opened from the disk: browsers start no Worker from file://, so that there it is a script in a hidden frame.
   The theme's script asks for `IFrameWorker` in the page, and for an `importScripts` that may be waited for. */
(() => {
  const plain = message =>
    typeof message.data === "string" ? { ...message, data: message.data.replace(/(^|\s)[-+]+(?=\S)/g, "$1") } : message

  const load = (frame, url) =>
    new Promise((done, failed) => {
      const script = frame.document.createElement("script")
      script.src = url
      script.onload = done
      script.onerror = () => failed(new Error(`cannot load ${url}`))
      frame.document.body.append(script)
    })

  class SearchWorker extends Worker {
    postMessage(message) {
      super.postMessage(plain(message))
    }
  }

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super()
      this.element = document.createElement("iframe")
      this.element.hidden = true
      document.body.append(this.element)
      this.frame = this.element.contentWindow
      this.frame.importScripts = async (...urls) => {
        for (const each of urls) await load(this.frame, each)
      }
      this.frame.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.ready = load(this.frame, new URL(url, location.href).href)
    }

    async postMessage(message) {
      await this.ready
      this.frame.dispatchEvent(new this.frame.MessageEvent("message", { data: plain(message) }))
    }

    terminate() {
      this.element.remove()
    }
  }

  if (location.protocol === "file:") window.Worker = window.IFrameWorker = IFrameWorker
  else window.Worker = SearchWorker
})()
