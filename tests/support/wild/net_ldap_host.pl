# Net::LDAP::Server over entries in memory: `perl net_ldap_host.pl ENTRIES.json`. Its first line is the port on loopback.
#
# Messages are Net::LDAP::Server's own, filters Net::LDAP::FilterMatch's. No schema, no controls, no root DSE.
use strict;
use warnings;

package Tree;
use parent 'Net::LDAP::Server';
use JSON::PP;
use Net::LDAP::Constant qw(LDAP_SUCCESS LDAP_NO_SUCH_OBJECT LDAP_NO_SUCH_ATTRIBUTE LDAP_TYPE_OR_VALUE_EXISTS
    LDAP_INVALID_CREDENTIALS);
use Net::LDAP::Entry;
use Net::LDAP::Filter;
use Net::LDAP::FilterMatch;
use Net::LDAP::Util qw(canonical_dn);

our %known;

sub answer { return { matchedDN => '', errorMessage => $_[1] // '', resultCode => $_[0] } }
sub plain { return lc(canonical_dn($_[0]) // '') }

sub load {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    my $entries = JSON::PP->new->utf8->decode(do { local $/; <$file> });
    $known{plain($_)} = Net::LDAP::Entry->new($_, %{ $entries->{$_} }) for keys %$entries;
}

sub bind {
    my ($self, $request) = @_;
    return answer(LDAP_SUCCESS) if $request->{name} eq '';
    my $entry = $known{plain($request->{name})} or return answer(LDAP_INVALID_CREDENTIALS);
    my $right = grep { $_ eq $request->{authentication}{simple} } $entry->get_value('userPassword');
    return answer($right ? LDAP_SUCCESS : LDAP_INVALID_CREDENTIALS);
}

sub search {
    my ($self, $request) = @_;
    my $base = plain($request->{baseObject});
    return answer(LDAP_NO_SUCH_OBJECT, 'no such entry') unless $known{$base};
    my $filter = bless $request->{filter}, 'Net::LDAP::Filter';
    my @found;
    for my $dn (sort keys %known) {
        my $above = $dn eq $base ? 0 : $dn =~ /^(.*),\Q$base\E$/ ? 1 + ($1 =~ tr/,//) : -1;
        my $within = ($above == 0, $above == 1, $above >= 0)[$request->{scope}];
        push @found, $known{$dn}->clone if $within && $filter->match($known{$dn});
    }
    return (answer(LDAP_SUCCESS), @found);
}

sub modify {
    my ($self, $request) = @_;
    my $entry = $known{plain($request->{object})} or return answer(LDAP_NO_SUCH_OBJECT, 'no such entry');
    my $changed = $entry->clone;
    for my $change (@{ $request->{modification} }) {
        my ($type, $values) = @{ $change->{modification} }{qw(type vals)};
        my %before = map { $_ => 1 } $changed->get_value($type);
        if ($change->{operation} == 0) {
            return answer(LDAP_TYPE_OR_VALUE_EXISTS, $type) if grep { $before{$_} } @$values;
            $changed->add($type => $values);
        } elsif ($change->{operation} == 1) {
            return answer(LDAP_NO_SUCH_ATTRIBUTE, $type) if !%before || grep { !$before{$_} } @$values;
            my %gone = map { $_ => 1 } @$values ? @$values : keys %before;
            $changed->replace($type => [ grep { !$gone{$_} } $changed->get_value($type) ]);
        } else {
            $changed->replace($type => $values);
        }
    }
    $known{plain($request->{object})} = $changed;
    return answer(LDAP_SUCCESS);
}

package main;
use IO::Select;
use IO::Socket::INET;

Tree::load($ARGV[0]);
my $listening = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no port: $!";
$| = 1;
print $listening->sockport, "\n";
my $select = IO::Select->new($listening);
my %clients;
while (my @ready = $select->can_read) {
    for my $socket (@ready) {
        if ($socket == $listening) {
            my $client = $listening->accept or next;
            $clients{$client} = Tree->new($client);
            $select->add($client);
        } elsif ($clients{$socket}->handle) {
            $select->remove($socket);
            delete $clients{$socket};
            close $socket;
        }
    }
}
