# The shop's binary in an image of its own: static, without a shell, as a user without rights.
#
#   docker build --target xsynesis --build-arg VERSION=1.0.0 --tag xsynesis:1.0.0 .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=development
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/xsynesis ./cmd/xsynesis
# Where the processes may keep something, if a volume is put there: scratch has no mkdir.
RUN mkdir -p /out/data

# Backup and restore call PostgreSQL's own programs, which have to be as new as the server.
FROM postgres:15 AS backup
COPY --from=build /out/xsynesis /usr/bin/xsynesis
RUN mkdir -p /backups && chown postgres:postgres /backups
USER postgres
WORKDIR /backups
ENTRYPOINT ["/usr/bin/xsynesis"]

FROM scratch AS xsynesis
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/xsynesis /usr/bin/xsynesis
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
EXPOSE 8402
ENTRYPOINT ["/usr/bin/xsynesis"]
CMD ["serve"]
