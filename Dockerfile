# A PeerServer: docker build -t peerserver . && docker run -p 9000:9000 peerserver
# Options come as PEERSERVER_… variables, or behind the image's name.

FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/peerjs \
 && python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && wheel=$(ls /wheels/peerjs_sansio-*.whl) \
 # Of every dependency there are wheels: no compiler, here or later.
 && /opt/peerjs/bin/pip install --no-cache-dir --only-binary :all: "$wheel[server,metrics,redis]" \
 && /opt/peerjs/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/peerjs --create-home peerjs
COPY --from=build /opt/peerjs /opt/peerjs
# Rooms keep their secret in the state directory.
ENV PATH=/opt/peerjs/bin:$PATH PYTHONUNBUFFERED=1 STATE_DIRECTORY=/var/lib/peerjs
USER peerjs
WORKDIR /var/lib/peerjs
VOLUME /var/lib/peerjs
EXPOSE 9000
STOPSIGNAL SIGTERM
# It asks /healthz of the server that the variables are of.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["peerjs", "serve", "--health"]
ENTRYPOINT ["peerjs", "serve"]
