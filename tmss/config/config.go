// Package config has what the operator of one T-MSS writes in its YAML file: the struct with every key, its defaults
// and its checks. It reads no file (see configfile) and opens nothing. deploy/config/tmss.yaml explains every key to
// operators; a test holds the two together. What all hubs share (offices, static routes, keys) is not here but in the
// directory. Start at [Config].
package config

import (
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/federation"
)

// Config is the configuration of one T-MSS. After EnsureDefaults and Validate every field has a usable value.
type Config struct {
	// Hub names the hub. Required: lower-case letters, digits and hyphens, at most 63.
	Hub federation.HubID `yaml:"hub"`
	// Domain is the federation's domain name. Required.
	Domain string `yaml:"domain"`
	// StateDir holds everything that outlives the process: an absolute path. Empty means /var/lib/tmss.
	StateDir string `yaml:"state_dir"`

	Listen    Listen    `yaml:"listen"`
	Directory Directory `yaml:"directory"`

	// Sites are offices that this hub alone knows, reached by address: for measurements and for equipment that has no
	// certificate. Empty means none.
	Sites []Site `yaml:"sites"`

	Timers   Timers   `yaml:"timers"`
	Exchange Exchange `yaml:"exchange"`

	// Workers is the number of goroutines that own transactions. Zero means one per processor; at most 127.
	Workers int `yaml:"workers"`

	Admin Admin `yaml:"admin"`
	Trace Trace `yaml:"trace"`
	Log   Log   `yaml:"log"`

	// StopTimeout bounds how long each process may take to stop. Zero means 10s.
	StopTimeout time.Duration `yaml:"stop_timeout"`
}

// Listen says where the hub is reached.
type Listen struct {
	// TLS are the listeners for the trunks of sites and hubs, which prove themselves by certificate. At least one of
	// TLS, TCP and UDP is required. Port 0 means that the kernel chooses one.
	TLS []netip.AddrPort `yaml:"tls"`
	// UDP are the sockets for peers that are known by address.
	UDP []netip.AddrPort `yaml:"udp"`
	// TCP are the listeners for such peers.
	TCP []netip.AddrPort `yaml:"tcp"`
	// GRPC are the addresses of route exchange, enrolment and the operators' API, such as one of each IP version: others
	// try them in this order. At least one is required.
	GRPC configfile.Addresses `yaml:"grpc"`
	// Advertise gives, for a local address, the one that others must use instead, as behind a NAT that forwards the
	// same ports. Empty means that local addresses are told as they are.
	Advertise map[netip.Addr]netip.Addr `yaml:"advertise"`
}

// Directory says where the domain's directory (etcd) is.
type Directory struct {
	// Embedded runs a member beside this hub. Unset means true, unless Endpoints are named or the hub joined a domain.
	Embedded configfile.Toggle `yaml:"embedded"`
	// Listen is the embedded member's address for hubs. Zero means port 2379 on the first address of Listen.GRPC.
	Listen netip.AddrPort `yaml:"listen"`
	// Members are the three members of a directory of several, hub name to address for other members. Empty means
	// that the embedded member is the whole directory. Fixed at the first start.
	Members map[string]netip.AddrPort `yaml:"members"`
	// Endpoints are the addresses ("192.0.2.7:2379") of members that run elsewhere. Empty means the embedded one.
	Endpoints []string `yaml:"endpoints"`

	// Unsaid is set by EnsureDefaults where the file says nothing about the place of the directory: a hub that joined
	// then uses that of its domain.
	Unsaid bool `yaml:"-"`
}

// Site is an office that is known by address.
type Site struct {
	// Name is the office's. Required.
	Name federation.SiteID `yaml:"name"`
	// Prefixes are its numbers. Required.
	Prefixes []NumberRange `yaml:"prefixes"`
	// Address is where its trunk is: "udp 192.0.2.7:5060", or with tcp. Required.
	Address Address `yaml:"address"`
	// Sources are where its messages come from. Empty means from Address alone.
	Sources []configfile.Network `yaml:"sources"`
}

// Timers are the clocks of SIP (RFC 3261, table 4) and of searches for a path.
type Timers struct {
	// T1 estimates the round trip. Zero means 500ms.
	T1 time.Duration `yaml:"t1"`
	// T2 bounds the interval between repeated messages. Zero means 4s.
	T2 time.Duration `yaml:"t2"`
	// T4 is how long a message stays in the network. Zero means 5s.
	T4 time.Duration `yaml:"t4"`
	// C ends an attempt that rings for ever; each provisional response restarts it. Zero means 3m.
	C time.Duration `yaml:"c"`
	// Silence is how long an INVITE may go without any response before the next path. Zero means 1.5s.
	Silence time.Duration `yaml:"silence"`
	// Search bounds the time in which new paths are begun. Zero means 8s.
	Search time.Duration `yaml:"search"`
}

// Exchange has the clocks of route exchange with sites.
type Exchange struct {
	// Keepalive is the time between two of them. Zero means 5s.
	Keepalive time.Duration `yaml:"keepalive"`
	// Hold is the longest silence. Zero means 20s.
	Hold time.Duration `yaml:"hold"`
	// StaleMax is how long the routes of a site that is gone are kept while its trunk stands. Zero means 24h.
	StaleMax time.Duration `yaml:"stale_max"`
}

// Admin says where mssctl and monitoring reach this hub.
type Admin struct {
	// Socket is the Unix socket of the API. Empty means admin.sock in StateDir.
	Socket string `yaml:"socket"`
	// HTTP are addresses for /healthz, /readyz and /metrics, open to whoever gets there. Empty means none.
	HTTP []netip.AddrPort `yaml:"http"`
	// HTTPSocket is the Unix socket for the same and for profiles. Empty means http.sock in StateDir.
	HTTPSocket string `yaml:"http_socket"`
}

// Trace says how much SIP is kept for mssctl call trace.
type Trace struct {
	// Bytes is the memory for messages, the newest. Zero means 8MiB.
	Bytes configfile.Size `yaml:"bytes"`
}

// Log says what is written to standard error.
type Log struct {
	// Level is debug, info, warn or error. Empty means info.
	Level string `yaml:"level"`
	// Format is text or json. Empty means text.
	Format string `yaml:"format"`
}
