// Mends a race of Gradio's client in which answers are lost. The server ends its stream when no event is left to answer;
// where it hears of the next event just then, the client learns of the end only after it has taken the stream for open,
// and never opens another. Here such an end is not passed on: a new stream continues the old one.
(() => {
  const HEAD = 200; // characters of a message in which its kind and its event stand
  const reach = window.fetch.bind(window);
  const asked = new Set(); // events that the server has taken and not answered to the end
  const early = new Set(); // those answered before their asking was acknowledged

  const acknowledged = (event) => early.delete(event) || asked.add(event);
  const answered = (event) => asked.delete(event) || early.add(event);

  async function* messagesOf(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let piece = await reader.read();
    while (!piece.done) {
      const messages = (rest + piece.value).split('\n\n');
      rest = messages.pop();
      yield* messages;
      piece = await reader.read();
    }
  }

  // Passes a stream's messages on; tells the one that ends it, if it is ended by one.
  const pass = async (body, write) => {
    for await (const message of messagesOf(body)) {
      const head = message.slice(0, HEAD);
      if (head.includes('"close_stream"')) return message;
      if (head.includes('"process_completed"')) answered((head.match(/"event_id":\s*"([^"]+)"/) || [])[1]);
      await write(message);
    }
    return '';
  };

  const listen = async (request) => {
    let answer = await reach(request.clone());
    if (!answer.ok) return answer;
    const { status, headers } = answer;
    const { readable, writable } = new TransformStream();
    const encoder = new TextEncoder();
    const writer = writable.getWriter();
    const write = (message) => writer.write(encoder.encode(`${message}\n\n`));
    const continued = async () => {
      let end = await pass(answer.body, write);
      while (end && asked.size) {
        answer = await reach(request.clone());
        end = await pass(answer.body, write);
      }
      if (end) await write(end);
      await writer.close();
    };
    continued().catch((error) => writer.abort(error).catch(() => {})); // the page closed it, or the connection is gone
    return new Response(readable, { status, headers });
  };

  window.fetch = async (...about) => {
    const [address] = about;
    const { pathname } = new URL(address instanceof Request ? address.url : address, document.baseURI);
    if (pathname.endsWith('/queue/data')) return listen(new Request(...about));
    const answer = await reach(...about);
    if (pathname.endsWith('/queue/join') && answer.ok) acknowledged((await answer.clone().json()).event_id);
    return answer;
  };
})();
