package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/siptransport"
)

const smallest = `site: london
domain: example.org
listen:
  udp: ["192.0.2.1:5060", "192.0.2.2:5060"]
  tcp: ["192.0.2.1:5060", "[2001:db8::1]:5060"]
`

func parse(t *testing.T, text string) Config {
	t.Helper()
	c, err := configfile.Parse[Config]("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsFollowOtherKeys(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"state_dir: /srv/mss\n")
	if c.Realm != "london.example.org" || c.Media.Socket != "/srv/mss/media.sock" || c.Admin.Socket != "/srv/mss/admin.sock" {
		t.Errorf("%+v", c)
	}
	if got, want := fmt.Sprint(c.Media.Addresses), "[192.0.2.1 192.0.2.2 2001:db8::1]"; got != want {
		t.Errorf("media addresses %s, want %s", got, want)
	}
	if !c.Media.Anchor.On() || !c.Store.Enabled.On() {
		t.Error("store and anchor are on by default")
	}
	c = parse(t, smallest+"media: {anchor: false}\nstore: {enabled: false}\n")
	if c.Media.Anchor.On() || c.Store.Enabled.On() {
		t.Error("store and anchor were switched off")
	}
}

func TestAdvertised(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"  advertise: {192.0.2.1: 203.0.113.1}\n")
	for local, want := range map[string]string{"192.0.2.1": "203.0.113.1", "192.0.2.2": "192.0.2.2"} {
		if got := c.Listen.Advertised(netip.MustParseAddr(local)); got.String() != want {
			t.Errorf("%s is advertised as %s, want %s", local, got, want)
		}
	}
}

// A site may have TLS alone; voice then uses its addresses.
func TestTLSAlone(t *testing.T) {
	t.Parallel()
	c := parse(t, "site: london\ndomain: example.org\nlisten: {tls: [\"192.0.2.1:5061\"], advertise: {192.0.2.1: 203.0.113.1}}\ntls: {certificate: /c.pem, key: /c.pem}\n")
	if shown := c.Listen.TLSAddresses(); len(shown) != 1 || shown[0].String() != "203.0.113.1" {
		t.Errorf("phones reach it at %v", shown)
	}
	if len(c.Listen.TLS) != 1 || len(c.Media.Addresses) != 1 || c.Media.Addresses[0].String() != "192.0.2.1" {
		t.Errorf("%+v", c)
	}
}

// Voice may have an address of its own, behind a NAT that SIP does not pass.
func TestVoiceAdvertised(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"  advertise: {192.0.2.9: 203.0.113.1}\nmedia: {addresses: [192.0.2.1, 192.0.2.9], reachable: no}\n")
	if got := c.Listen.Advertised(c.Media.Addresses[1]); got.String() != "203.0.113.1" || c.Media.Reachable != ReachableNo {
		t.Errorf("voice at %v, reachable %s", got, c.Media.Reachable)
	}
	if c := parse(t, smallest); c.Media.Reachable != ReachableAuto {
		t.Errorf("reachable is %s where nothing is said", c.Media.Reachable)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+`users:
  - {name: 0044, password: secret, display: Reception, bindings: 1}
  - {name: 4002, addresses: [192.0.2.7], target: tcp 192.0.2.7:5062}
`)
	first, err := c.Users[0].Make(c.Realm)
	if err != nil {
		t.Fatal(err)
	}
	if first.Name != "0044" || !first.HasPassword() || first.Realm != c.Realm || !first.Configured || first.MaxBindings != 1 {
		t.Errorf("%+v", first)
	}
	second, err := c.Users[1].Make(c.Realm)
	if err != nil {
		t.Fatal(err)
	}
	if second.HasPassword() || second.Target.Transport != siptransport.TCP || second.Addresses[0].String() != "192.0.2.7/32" {
		t.Errorf("%+v", second)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]dialplan.Prefix{
		"4xxx":  {Digits: "4", MinLength: 4, MaxLength: 4},
		"+4420": {Digits: "+4420"},
		"+44xx": {Digits: "+44", MinLength: 4, MaxLength: 4},
	} {
		var r NumberRange
		if err := r.UnmarshalText([]byte(text)); err != nil || r.Prefix() != want || r.String() != text {
			t.Errorf("%s: %+v, %v", text, r.Prefix(), err)
		}
	}
	for _, text := range []string{"", "x", "4x1", "four", "+", "4xX"} {
		if err := new(NumberRange).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"udp 192.0.2.7:5060", "tcp [2001:db8::1]:5060", "", "pbx.example.org", "udp pbx.example.org", "tcp pbx.example.org:5070"} {
		var target Target
		if err := target.UnmarshalText([]byte(text)); err != nil || target.String() != text {
			t.Errorf("%q: %s, %v", text, target, err)
		}
	}
	for _, text := range []string{"192.0.2.7", "tls 192.0.2.7:5061", "0.0.0.0:5060", "192.0.2.7:0", "tls pbx.example.org", "[fe80::1%eth0]:5060", "pbx.example.org:0", "pbx..example.org", "a b c", "2001:db8::1", "udp"} {
		if err := new(Target).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"site", strings.Replace(smallest, "london", "London", 1), `c.yaml:1:7: site: "London": `},
		{"domain", strings.Replace(smallest, "example.org", "example..org", 1), `c.yaml:2:9: domain: `},
		{"zone", strings.Replace(smallest, "192.0.2.2", "[fe80::1%eth0]", 1), `c.yaml:4:27: listen.udp[1]: [fe80::1%eth0]:5060 has a zone`},
		{"zone of voice", smallest + "media: {addresses: [\"fe80::1%eth0\"]}\n", `media.addresses[0]: fe80::1%eth0 is no address of one machine`},
		{"wildcard", strings.Replace(smallest, "192.0.2.2", "0.0.0.0", 1), `c.yaml:4:27: listen.udp[1]: 0.0.0.0:5060 is every address`},
		{"twice", strings.Replace(smallest, "192.0.2.2", "192.0.2.1", 1), `c.yaml:4:27: listen.udp[1]: 192.0.2.1:5060 is there twice`},
		{"no certificate", smallest + "  tls: [\"192.0.2.1:5061\"]\n", `c.yaml: tls.certificate: a PEM file is required here`},
		{"no key", smallest + "  tls: [\"192.0.2.1:5061\"]\ntls: {certificate: /c.pem}\n", `tls.key: a PEM file is required here`},
		{"relative", smallest + "  tls: [\"192.0.2.1:5061\"]\ntls: {certificate: c.pem, key: /k.pem}\n", `c.yaml:7:20: tls.certificate: "c.pem": must be an absolute path`},
		{"no TLS", smallest + "tls: {certificate: /c.pem, key: /k.pem}\n", `tls.key: nothing uses it: name an address in listen.tls`},
		{"TLS on TCP's port", smallest + "  tls: [\"192.0.2.1:5060\"]\ntls: {certificate: /c.pem, key: /k.pem}\n", `c.yaml:6:9: listen.tls[0]: 192.0.2.1:5060 is in listen.tcp too`},
		{"gRPC on TCP's port", smallest + "admin: {grpc: [\"192.0.2.1:5443\", \"192.0.2.1:5060\"]}\n", `c.yaml:6:34: admin.grpc[1]: 192.0.2.1:5060 is in listen.tcp too`},
		{"HTTP on gRPC's port", smallest + "admin: {grpc: [\"192.0.2.1:5443\"], http: [\"192.0.2.1:5443\"]}\n", `admin.http[0]: 192.0.2.1:5443 is in admin.grpc too`},
		{"one path for two", smallest + "admin: {socket: /run/a.sock, http_socket: /run/a.sock}\n", `admin.http_socket: "/run/a.sock" is admin.socket too`},
		{"TLS on every address", smallest + "  tls: [\"0.0.0.0:5061\"]\ntls: {certificate: /c.pem, key: /k.pem}\n", `listen.tls[0]: 0.0.0.0:5061 is every address`},
		{"multicast", strings.Replace(smallest, "192.0.2.2", "224.0.1.75", 1), `listen.udp[1]: 224.0.1.75:5060 is no address`},
		{"advertise", smallest + "  advertise: {192.0.2.9: 203.0.113.1}\n", `listen.advertise.192.0.2.9: nothing listens on this address`},
		{"family", smallest + "  advertise: {192.0.2.1: \"2001:db8::1\"}\n", `listen.advertise.192.0.2.1: 2001:db8::1 cannot stand for`},
		{"reachable", smallest + "media: {reachable: maybe}\n", `c.yaml:6:20: media.reachable: "maybe": must be one of auto, yes, no`},
		{"state_dir", smallest + "state_dir: here\n", `c.yaml:6:12: state_dir: "here": must be an absolute path`},
		{"long socket", smallest + "state_dir: /" + strings.Repeat("x", 100) + "\n", `c.yaml: media.socket: "/xxx`},
		{"ports", smallest + "media: {ports: 100-200}\n", `c.yaml:6:16: media.ports: 100-200: must begin at 1024`},
		{"few ports", smallest + "media: {ports: 2000-2002}\n", `media.ports: 2000-2002: `},
		{"algorithm", smallest + "digest: {algorithm: sha}\n", `digest.algorithm: "sha": must be one of md5, sha-256`},
		{"expires", smallest + "registrar: {max_expires: 10m}\n", `registrar.default_expires: 1h0m0s: must be 1s to 10m0s`},
		{"negative", smallest + "media: {timeout: -5s}\n", `media.timeout: -5s: must be 1s to 24h0m0s`},
		{"user", smallest + "users:\n  - {name: \"40 01\"}\n", `c.yaml:7:6: users[0]: `},
		{"user twice", smallest + "users:\n  - {name: 4001}\n  - {name: 4001}\n", `c.yaml:8:12: users[1].name: "4001" is users[0] already`},
		{"password", smallest + "users:\n  - {name: 4001, password: 4001}\n", `users[0]: set password`},
		{"name server", smallest + "dns: {servers: [\"0.0.0.0:53\"]}\n", `c.yaml:6:17: dns.servers[0]: 0.0.0.0:53 is no address`},
		{"name server's port", smallest + "dns: {servers: [\"192.0.2.53:0\"]}\n", `dns.servers[0]: 192.0.2.53:0 is no address of one machine with a port`},
		{"name server twice", smallest + "dns: {servers: [\"192.0.2.53:53\", \"192.0.2.53:53\"]}\n", `dns.servers[1]: 192.0.2.53:53 is there twice`},
		{"name servers", smallest + "dns: {servers: [\"192.0.2.1:53\", \"192.0.2.2:53\", \"192.0.2.3:53\", \"192.0.2.4:53\", \"192.0.2.5:53\"]}\n", `dns.servers: 5 servers: at most 4`},
		{"dns time", smallest + "dns: {timeout: 1m}\n", `dns.timeout: 1m0s: must be 100ms to 30s`},
		{"static hub by name", smallest + "static_hubs: [{hub: a, address: hub.example.org}]\n", `static_hubs[0].address: an address is required`},
		{"number", smallest + "numbers: [4x1]\n", `c.yaml:6:11: numbers[0]: "4x1": digits, and an x`},
		{"workers", smallest + "workers: 128\n", `workers: 128: must be 0 to 127`},
		{"realm", smallest + "realm: 'a:b'\n", `realm: "a:b": must be`},
		{"trace", smallest + "trace: {bytes: 1B}\n", `trace.bytes: 1B: must be`},
		{"typo", smallest + "registar: {}\n", `c.yaml:6:1: unknown key "registar"; did you mean "registrar"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := configfile.Parse[Config]("c.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("password in %v", err)
			}
		})
	}
}

func TestDefaultsAreKept(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"timers: {t1: 100ms}\n")
	again := c
	again.EnsureDefaults()
	if again.Timers != c.Timers || c.Timers.T1 != 100*time.Millisecond || c.Timers.NoAnswer != 2*time.Minute {
		t.Errorf("%+v, then %+v", c.Timers, again.Timers)
	}
}

func TestHubs(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"uplinks: [b, a]\nstatic_hubs:\n  - {hub: x, address: tcp 192.0.2.9:5060}\n")
	if len(c.Uplinks) != 2 || c.Uplinks[0] != "b" || c.StaticHubs[0].Address.Transport != siptransport.TCP {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"uplinks: [a, a]":                                    "uplinks[1]: \"a\" is there twice",
		"uplinks: [A]":                                       "uplinks[0]: \"A\": a hub's name",
		"uplinks: [a, b, c, d, e]":                           "at most 4",
		"static_hubs: [{hub: a}]":                            "static_hubs[0].address: an address is required",
		"static_hubs: [{address: 192.0.2.9:5060}]":           "static_hubs[0].hub: ",
		"static_hubs: [{hub: a, address: \"0.0.0.0:5060\"}]": "an address with a port",
	} {
		if _, err := configfile.Parse[Config]("c.yaml", []byte(smallest+text+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestNumbersAsRoutes(t *testing.T) {
	t.Parallel()
	c := parse(t, smallest+"numbers: [4xxx, \"+4420\", \"55\"]\n")
	for i, want := range []string{"4/4", "+4420/4-32", "55/2-32"} {
		n := c.Numbers[i].NLRI(c.Domain)
		if err := n.Check(); err != nil || n.String() != want || n.Domain != "example.org" {
			t.Errorf("%s: %s %v, want %s", c.Numbers[i], n, err, want)
		}
	}
}
