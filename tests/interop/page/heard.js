// What a Peer and its connections say by events, kept until somebody asks.

export class Heard {
  #said = [];
  #waiting = new Set();

  listen(emitter, handle, names) {
    for (const what of names) {
      emitter.on(what, (detail) => this.#put({ handle, what, detail: detail?.type ?? detail }));
    }
  }

  next(handle, what, seconds) {
    return new Promise((resolve) => {
      const wish = { handle, what, resolve };
      this.#waiting.add(wish);
      setTimeout(() => this.#waiting.delete(wish) && resolve(null), seconds * 1000);
      this.#serve(wish);
    });
  }

  #put(news) {
    this.#said.push(news);
    this.#waiting.forEach((wish) => this.#serve(wish));
  }

  #serve({ handle, what, resolve }) {
    const at = this.#said.findIndex((news) => news.handle === handle && news.what === what);
    if (at < 0) return;
    for (const wish of this.#waiting) if (wish.resolve === resolve) this.#waiting.delete(wish);
    const { detail } = this.#said.splice(at, 1)[0];
    resolve({ what, detail: typeof detail === "string" ? detail : null });
  }
}
