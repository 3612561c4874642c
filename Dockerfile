# Dais as an image: the program, the libraries that it is linked to, and the authorities that TLS believes. No shell, and
# nothing else that somebody who got in could use. docker-compose.yml starts a cluster of it; by itself:
#
#   docker build --build-arg COMMIT=$(git rev-parse --short=12 HEAD) --tag dais .
#   docker run dais --help

# The version that `rust-version` in Cargo.toml names. The Debian here is also where the libraries come from.
FROM rust:1.95.0-slim-bookworm AS build
SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
# For jemalloc, which is built from source. A C compiler is there.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make=4.3-4.1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# For `dais_build_info` and `dais nodes`: there is no repository here that would tell.
ARG COMMIT=unknown
# What was downloaded and built before stays with the builder. Names of functions stay in the program, for the backtrace of
# a panic; lines, which are most of it, do not.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    BUILD_COMMIT="$COMMIT" cargo build --release --locked --package dais --bin dais \
    && install -D target/release/dais /image/usr/local/bin/dais \
    && strip --strip-debug /image/usr/local/bin/dais
WORKDIR /image
# `certs` is where `dais certs` writes: a volume that is empty takes its owner from here.
RUN ldd usr/local/bin/dais | grep --only-matching '/[^ ]*' | xargs cp --parents --dereference --target-directory=. \
    && cp --parents /etc/ssl/certs/ca-certificates.crt . \
    && echo 'dais:x:65532:65532::/:/usr/sbin/nologin' > etc/passwd \
    && echo 'dais:x:65532:' > etc/group \
    && echo 'hosts: files dns' > etc/nsswitch.conf \
    && mkdir -p var/lib/dais/certs

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /image/var/lib/dais /var/lib/dais
USER 65532:65532
# Web, admin, media, links: --listen and --admin are on loopback unless told otherwise.
EXPOSE 7000/tcp 7001/tcp 7100/udp 7200/udp
# People are led elsewhere before the process ends: give it longer than --drain (30 s) and the 5 s of those who go last.
STOPSIGNAL SIGTERM
# Whether it is alive; whether it takes people is /ready, which a balancer asks.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/dais", "health"]
ENTRYPOINT ["/usr/local/bin/dais"]
CMD ["--help"]
