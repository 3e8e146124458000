# A SIP registrar on the directory of the trial; see deploy/compose.yaml. Not for anything else.
ARG BASE=python:3.13-slim-trixie
FROM ${BASE}
# hadolint ignore=DL3008  # whichever Kamailio the base's Debian has will do
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends kamailio kamailio-ldap-modules sipsak && \
    rm -rf /var/lib/apt/lists/*
COPY kamailio/kamailio.cfg trial/ldap.cfg /etc/kamailio/
USER 10001:10001
EXPOSE 5060/udp
HEALTHCHECK --interval=2s --timeout=2s --retries=15 CMD ["sipsak", "-s", "sip:127.0.0.1:5060"]
ENTRYPOINT ["/usr/sbin/kamailio", "-DD", "-E", "-Y", "/tmp", "-w", "/tmp", "-f", "/etc/kamailio/kamailio.cfg"]
# It listens in its container, and phones on the host reach it at 127.0.0.1:5060
CMD ["-l", "udp:0.0.0.0:5060/127.0.0.1:5060"]
