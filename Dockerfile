# docker build -t copilot-gateway .
# docs/deployment.md says how to run it, with its secrets.
#
# The default is a tag, which moves; no registry could be asked for a digest where this was written. Pin
# what you ship to the one that your registry has:
#   docker buildx imagetools inspect node:24-bookworm-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg BASE=node:24-bookworm-slim@sha256:… -t copilot-gateway .
ARG BASE=node:24-bookworm-slim
# What runs needs Node.js on the PATH and the C++ library: no shell, no npm.
ARG RUNTIME_BASE=${BASE}

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional dependencies too: the compiler's native binary is one.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json build.ts ./
COPY packages packages
COPY src src
COPY demo demo
RUN npm run build

FROM ${BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No optional ones: the Node.js that development pins would come along with them.
RUN npm ci --omit=dev --omit=optional --ignore-scripts
COPY release release
RUN node release/bill-of-materials.ts > sbom.cdx.json
RUN node release/trim.ts

# Nothing is run in this stage, so that a base without a shell will do.
FROM ${RUNTIME_BASE}
ARG RUNTIME_BASE
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="copilot-gateway" \
      org.opencontainers.image.description="Security gateway in front of Cognigy Agent Copilot" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${RUNTIME_BASE}"
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
# All of it is root's: the gateway can't change its own code.
COPY LICENSE package.json ./
COPY --from=dependencies /app/sbom.cdx.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
# By number, so that Kubernetes' runAsNonRoot can tell; it is `node` in the base.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
  CMD ["node", "dist/src/healthcheck.js"]
# The gateway is the first process and needs no init: it starts none that it does not wait for, and
# drains on SIGTERM. Give it longer than DRAIN_DELAY and DRAIN_TIMEOUT: docker run --stop-timeout 35.
# The options are those of `npm start` (docs/decisions/0022-where-the-time-goes.md).
ENTRYPOINT ["node", "--min-semi-space-size=32", "--max-semi-space-size=32", "--no-allocation-site-pretenuring", "--v8-pool-size=1", "dist/src/cli.js"]
CMD ["start"]
