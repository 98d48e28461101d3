// The device's live page: it comes over the data channel, and so does all that it shows.

/** @param {HTMLElement} root @param {any} fetch What peerFetch has returned. @param {any} events */
export async function show(root, fetch, events) {
  root.innerHTML = `
    <p><output id="celsius">…</output> °C in the greenhouse</p>
    <form><label>Keep it at <input name="celsius" type="number" min="0" max="40" step="0.5"> °C</label>
    <button>Set</button> <span id="answer"></span></form>`;
  const form = root.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ celsius: form.celsius.valueAsNumber });
    const response = await fetch("/api/target", { method: "PUT", body });
    const answer = await response.json();
    root.querySelector("#answer").textContent = response.ok ? `Set to ${answer.target}` : answer.error;
  });
  for await (const { data } of events(await fetch("/api/live"))) {
    const { celsius, target } = JSON.parse(data);
    root.querySelector("#celsius").textContent = celsius;
    form.celsius.placeholder = target;
  }
}
