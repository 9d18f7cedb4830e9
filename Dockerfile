# The server, as a user without rights. Settings come from the environment: docs/settings.md.
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/fhirserver && /opt/fhirserver/bin/pip install --no-cache-dir '.[mongodb]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 fhirserver && install -d -m 700 -o fhirserver /data
COPY --from=build /opt/fhirserver /opt/fhirserver
USER fhirserver
WORKDIR /data
ENV FHIRSERVER_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["/opt/fhirserver/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["/opt/fhirserver/bin/fhirserver"]
CMD ["serve"]
