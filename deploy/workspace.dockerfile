# The demo's workspace, which compose.yaml puts behind the gateway. Never in front of anybody real.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional --ignore-scripts
COPY packages packages
COPY demo demo
USER 1000:1000
CMD ["node", "demo/serve-workspace.ts"]
