# A small OpenLDAP with sample people, to try the connector on; see deploy/compose.yaml. Not for anything else.
ARG BASE=python:3.13-slim-trixie
FROM ${BASE}
# hadolint ignore=DL3008  # whichever slapd the base's Debian has will do
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slapd ldap-utils && \
    rm -rf /var/lib/apt/lists/*
COPY schema/openldap/h350.schema schema/openldap/cec-agent.schema /etc/ldap/schema/
COPY trial/slapd.conf trial/people.ldif /etc/trial/
RUN ["install", "-d", "-o", "10001", "-g", "10001", "/var/lib/trial"]
USER 10001:10001
RUN ["/usr/sbin/slapadd", "-f", "/etc/trial/slapd.conf", "-l", "/etc/trial/people.ldif"]
EXPOSE 1389
HEALTHCHECK --interval=2s --timeout=2s --retries=15 CMD ["ldapwhoami", "-x", "-H", "ldap://127.0.0.1:1389"]
ENTRYPOINT ["/usr/sbin/slapd", "-d", "none", "-h", "ldap://0.0.0.0:1389", "-f", "/etc/trial/slapd.conf"]
