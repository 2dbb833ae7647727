package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/configfile/configfiletest"
)

// required are the keys without a default; the sample shows an example.
var required = []string{"site", "domain", "listen.udp", "listen.tcp"}

func TestSample(t *testing.T) {
	t.Parallel()
	configfiletest.Sample[Config]{
		Path: "../../deploy/config/lmss.yaml",
		Bare: func(sample Config) Config {
			bare := Config{Site: sample.Site, Domain: sample.Domain}
			bare.Listen.UDP, bare.Listen.TCP = sample.Listen.UDP, sample.Listen.TCP
			bare.EnsureDefaults()
			return bare
		},
		Elements: map[string]reflect.Type{"users": reflect.TypeFor[User](), "static_hubs": reflect.TypeFor[StaticHub]()},
		Examples: func(t *testing.T, c Config) {
			t.Helper()
			if len(c.Users) != 1 || len(c.Numbers) != 2 || len(c.Listen.Advertise) != 1 || len(c.Uplinks) != 2 || len(c.StaticHubs) != 1 ||
				len(c.Listen.TLS) != 1 || c.TLS.Certificate == "" || c.TLS.Key == "" || len(c.Admin.HTTP) != 1 || len(c.Admin.GRPC) != 1 {
				t.Errorf("examples not read: %+v", c)
			}
		},
	}.Check(t)
}

func TestRequiredKeys(t *testing.T) {
	t.Parallel()
	_, err := configfile.Parse[Config]("c.yaml", nil)
	for _, key := range required {
		name, _, _ := strings.Cut(key, ".")
		if err == nil || !strings.Contains(err.Error(), "c.yaml: "+name+": ") {
			t.Errorf("nothing about %s: %v", name, err)
		}
	}
}
