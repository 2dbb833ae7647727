package enrol

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/identity"
)

// configText is a short configuration of a hub; deploy/config/tmss.yaml explains every key. A hub that joined
// uses the directory of others.
func configText(hub identity.Node, setup Setup, directory []string) []byte {
	var b bytes.Buffer
	line := func(indent int, key, value string) {
		b.WriteString(strings.Repeat("  ", indent) + key + ": " + value + "\n")
	}
	b.WriteString("# A T-MSS: a hub that offices connect to. The sample configuration has every key.\n")
	line(0, "hub", hub.ID)
	line(0, "domain", hub.Domain)
	line(0, "state_dir", strconv.Quote(setup.StateDir))
	b.WriteString("listen:\n")
	line(1, "tls", "["+strconv.Quote(setup.TLS.String())+"]")
	line(1, "grpc", strconv.Quote(setup.GRPC.String()))
	switch {
	case len(directory) > 0:
		quoted := make([]string, len(directory))
		for i, address := range directory {
			quoted[i] = strconv.Quote(address)
		}
		b.WriteString("directory:\n")
		line(1, "endpoints", "["+strings.Join(quoted, ", ")+"]")
	case setup.Directory.IsValid():
		b.WriteString("directory:\n")
		line(1, "listen", strconv.Quote(setup.Directory.String()))
	}
	return b.Bytes()
}
