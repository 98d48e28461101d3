// Server-sent events, out of a response's body.

const LONGEST = 1_048_576; // letters of a line, and of an event

/**
 * The events of a response of text/event-stream, as they come. Leaving the loop ends the request.
 * @param {Response} response
 * @returns {AsyncGenerator<{ event: string, data: string, id: string }, void, undefined>}
 */
export async function* events(response) {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let event = "", id = "", rest = "";
  /** @type {string | null} */
  let data = null;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      if (rest.length > LONGEST) throw new TypeError("an event with a line of more than 1 MiB");
      // A CR at the end may be half of a line's end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [, name, text = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (line === "") {
          if (data !== null) yield { event: event || "message", data, id };
          [event, data] = ["", null];
        } else if (name === "data") {
          data = data === null ? text : `${data}\n${text}`;
          if (data.length > LONGEST) throw new TypeError("an event of more than 1 MiB");
        } else if (name === "event") event = text;
        else if (name === "id" && !text.includes("\0")) id = text;
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
