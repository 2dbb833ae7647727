package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/configfile/configfiletest"
)

const smallest = "hub: a\ndomain: example.org\nlisten: {tls: [\"192.0.2.1:5061\"], grpc: \"192.0.2.1:5443\"}\n"

func TestSample(t *testing.T) {
	t.Parallel()
	configfiletest.Sample[Config]{
		Path: "../../deploy/config/tmss.yaml",
		Bare: func(sample Config) Config {
			bare := Config{Hub: sample.Hub, Domain: sample.Domain}
			bare.Listen.TLS, bare.Listen.GRPC = sample.Listen.TLS, sample.Listen.GRPC
			bare.EnsureDefaults()
			return bare
		},
		Elements: map[string]reflect.Type{"sites": reflect.TypeFor[Site]()},
		Examples: func(t *testing.T, c Config) {
			t.Helper()
			if len(c.Sites) != 1 || c.Sites[0].Address.String() != "udp 192.0.2.7:5060" || len(c.Directory.Members) != 3 || len(c.Listen.Advertise) != 1 {
				t.Errorf("examples not read: %+v", c)
			}
		},
	}.Check(t)
}

func TestDefaultsFollowOtherKeys(t *testing.T) {
	t.Parallel()
	c, err := configfile.Parse[Config]("c.yaml", []byte(smallest+"state_dir: /srv/mss\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Admin.Socket != "/srv/mss/admin.sock" || c.Directory.Listen != netip.MustParseAddrPort("192.0.2.1:2379") || !c.Directory.Embedded.On() {
		t.Errorf("%+v", c)
	}
	c, err = configfile.Parse[Config]("c.yaml", []byte(smallest+"directory: {endpoints: [\"192.0.2.9:2379\"]}\n"))
	if err != nil || c.Directory.Embedded.On() || c.Directory.Listen.IsValid() {
		t.Errorf("with endpoints the directory is elsewhere: %+v, %v", c.Directory, err)
	}
}

func TestSeveralControlAddresses(t *testing.T) {
	t.Parallel()
	both := strings.Replace(smallest, "grpc: \"192.0.2.1:5443\"", "grpc: [\"192.0.2.1:5443\", \"[2001:db8::1]:5443\"]", 1)
	for text, want := range map[string]int{smallest: 1, both: 2} {
		c, err := configfile.Parse[Config]("c.yaml", []byte(text))
		if err != nil || len(c.Listen.GRPC) != want || c.Listen.GRPC.First() != netip.MustParseAddrPort("192.0.2.1:5443") ||
			c.Directory.Listen != netip.MustParseAddrPort("192.0.2.1:2379") {
			t.Errorf("%v, %v, %v", c.Listen.GRPC, c.Directory.Listen, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	site := func(text string) string { return smallest + "sites: [{" + text + "}]\n" }
	for text, want := range map[string]string{
		"":                                 "c.yaml: hub: ",
		"hub: a\n":                         "c.yaml: domain: ",
		"hub: a\ndomain: x.org\n":          "c.yaml: listen: ",
		smallest + "listn: {}\n":           `did you mean "listen"?`,
		"hub: A\n":                         "c.yaml:1:6: hub: ",
		smallest + "workers: 128\n":        "workers: 128",
		smallest + "timers: {silence: 1m}": "timers.silence: 1m0s",
		smallest + "exchange: {hold: 6s}":  "exchange.hold: 6s: must be 15s",
		smallest + "directory: {embedded: false}":                                                         "say where it is",
		smallest + "directory: {embedded: true, endpoints: [\"192.0.2.9:2379\"]}":                         "take one of the two away",
		smallest + "directory: {members: {a: \"192.0.2.1:2380\", b: \"192.0.2.2:2380\"}}":                 "or three",
		smallest + "directory: {listen: \"0.0.0.0:2379\"}":                                                "every address",
		smallest + "directory: {endpoints: [nowhere]}":                                                    "directory.endpoints[0]",
		strings.Replace(smallest, "\"192.0.2.1:5443\"", "[\"192.0.2.1:5443\", \"192.0.2.1:5061\"]", 1):    "listen.grpc[1]: 192.0.2.1:5061 is in listen.tls too",
		smallest + "directory: {listen: \"192.0.2.1:5443\"}":                                              "directory.listen: 192.0.2.1:5443 is in listen.grpc too",
		smallest + "admin: {http: [\"192.0.2.1:5061\"]}":                                                  "admin.http[0]: 192.0.2.1:5061 is in listen.tls too",
		smallest + "admin: {socket: /run/a.sock, http_socket: /run/a.sock}":                               "is admin.socket too",
		site("name: lab, prefixes: [7xxx], address: \"udp 192.0.2.7:5060\""):                              "listen.udp would",
		site("name: lab, prefixes: [7x7], address: \"tcp 192.0.2.7:5060\""):                               "such as 4xxx",
		site("name: lab, prefixes: [7xxx], address: \"tls 192.0.2.7:5060\""):                              "udp or tcp",
		site("name: lab, address: \"tcp 192.0.2.7:5060\""):                                                "sites[0].prefixes",
		strings.Replace(smallest, "192.0.2.1:5443", "0.0.0.0:5443", 1):                                    "listen.grpc: 0.0.0.0:5443 is every address",
		strings.Replace(smallest, "\"192.0.2.1:5443\"", "[\"192.0.2.1:5443\", \"[::]:5443\"]", 1):         "listen.grpc[1]: [::]:5443 is every address",
		strings.Replace(smallest, "\"192.0.2.1:5443\"", "[]", 1):                                          "listen.grpc: an address is required",
		strings.Replace(smallest, "\"192.0.2.1:5443\"", "somewhere", 1):                                   "an address with a port",
		strings.Replace(smallest, ", grpc: \"192.0.2.1:5443\"", ", advertise: {192.0.2.2: 192.0.2.9}", 1): "listen.grpc: an address is required",
	} {
		if _, err := configfile.Parse[Config]("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
