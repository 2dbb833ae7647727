// Package config has what the operator of one L-MSS writes in its YAML file: the struct with every key, its defaults
// and its checks. It reads no file (see configfile) and opens nothing. deploy/config/lmss.yaml explains every key to
// operators; a test holds the two together. Start at [Config].
package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/federation"
)

// Config is the configuration of one L-MSS. After EnsureDefaults and Validate every field has a usable value.
type Config struct {
	// Site names the office. Required: lower-case letters, digits and hyphens, at most 63.
	Site federation.SiteID `yaml:"site"`
	// Domain is the federation's domain name. Required.
	Domain string `yaml:"domain"`
	// Realm is what passwords are made for. Empty means Site.Domain. A new realm makes all stored passwords useless.
	Realm string `yaml:"realm"`
	// StateDir holds everything that outlives the process: an absolute path. Empty means /var/lib/lmss.
	StateDir string `yaml:"state_dir"`

	Listen Listen `yaml:"listen"`
	TLS    TLS    `yaml:"tls"`
	Media  Media  `yaml:"media"`
	Store  Store  `yaml:"store"`

	// Numbers are this site's own: one that no user has gets 404 and is never looked for elsewhere. Empty means that
	// only the users' names are own numbers.
	Numbers []NumberRange `yaml:"numbers"`
	// Users are put into the store at each start and cannot be changed by mssctl. Empty means that all users are made
	// with mssctl.
	Users []User `yaml:"users"`

	// Uplinks names the hubs through which other sites are reached, the preferred one first; at most four. Empty means
	// up to four of those that the domain has. A site that has not joined (see lmss join) has none.
	Uplinks []federation.HubID `yaml:"uplinks"`
	// StaticHubs are hubs that are reached at a fixed address without TLS, for test set-ups: whoever can send from that
	// address is believed to be the hub. Empty means none.
	StaticHubs []StaticHub `yaml:"static_hubs"`

	// DNS says who is asked for the names of users' targets.
	DNS DNS `yaml:"dns"`

	Digest    Digest    `yaml:"digest"`
	Registrar Registrar `yaml:"registrar"`
	Timers    Timers    `yaml:"timers"`

	// Workers is the number of goroutines that own calls. Zero means one for two processors; at most 127.
	Workers int `yaml:"workers"`

	Admin Admin `yaml:"admin"`
	Trace Trace `yaml:"trace"`
	Log   Log   `yaml:"log"`

	// StopTimeout bounds how long each process may take to stop. Zero means 10s.
	StopTimeout time.Duration `yaml:"stop_timeout"`
}

// Listen says where phones and trunks reach this site by SIP.
type Listen struct {
	// UDP are the sockets, one for each local address. At least one of UDP, TCP and TLS is required. Port 0 means that
	// the kernel chooses one.
	UDP []netip.AddrPort `yaml:"udp"`
	// TCP are the listeners.
	TCP []netip.AddrPort `yaml:"tcp"`
	// TLS are the listeners for phones that encrypt; they need Config.TLS. Empty means none.
	TLS []netip.AddrPort `yaml:"tls"`
	// Advertise gives, for a local address, the one that others must use instead, in SIP and in SDP, as behind a NAT
	// that forwards the same ports; the addresses are those of UDP, TCP and TLS and of Media.Addresses. Phones on a
	// network that this machine is connected to are told the local one all the same. Empty means that all are.
	Advertise map[netip.Addr]netip.Addr `yaml:"advertise"`
}

// TLS is what Listen.TLS shows to phones: the operator's certificate, never the one by which the domain knows this site.
type TLS struct {
	// Certificate and Key are absolute paths of PEM files. The certificate names the site's DNS name or its addresses, and
	// what lies between it and the root follows it. Required with Listen.TLS; one file may hold both.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// The values of Media.Reachable.
const (
	ReachableAuto = "auto"
	ReachableYes  = "yes"
	ReachableNo   = "no"
)

// Media says how voice passes.
type Media struct {
	// Anchor leads every call's voice through this site's relay. Unset means true. Off, phones send to each other, which
	// works only where they can reach each other.
	Anchor configfile.Toggle `yaml:"anchor"`
	// Addresses are the local addresses of the relay's sockets; a leg uses the one that it also uses for SIP, or else the
	// first of the same family. Empty means those of Listen.
	Addresses []netip.Addr `yaml:"addresses"`
	// Reachable says whether other offices can send voice here before this one has sent any to them: yes, no or auto.
	// Empty means auto: no, if a hub sees this office's private address translated to a public one and Listen.Advertise
	// has nothing for it.
	Reachable string `yaml:"reachable"`
	// Ports is the range of the relay's ports. Zero means 16384-32766.
	Ports configfile.PortRange `yaml:"ports"`
	// Timeout ends a call from which neither RTP nor RTCP came for so long while it is not held. Zero means 5m.
	Timeout time.Duration `yaml:"timeout"`
	// Socket is where the media process takes its commands. Empty means media.sock in StateDir.
	Socket string `yaml:"socket"`
}

// HTTPSocket is where the signalling process asks the media process for its metrics: a socket beside Socket.
func (m *Media) HTTPSocket() string { return strings.TrimSuffix(m.Socket, ".sock") + "-http.sock" }

// Store says what is kept on disk.
type Store struct {
	// Enabled keeps registrations, calls and call records on disk. Unset means true. Off, they end with the process.
	Enabled configfile.Toggle `yaml:"enabled"`
	// Reserve is the size of the file that is given up first when the disk is full. Zero means 32MiB.
	Reserve configfile.Size `yaml:"reserve"`
	// AnswerWait bounds how long an answered call waits for the disk before it goes on unprotected. Zero means 250ms.
	AnswerWait time.Duration `yaml:"answer_wait"`
}

// Digest says how phones prove their passwords.
type Digest struct {
	// Algorithm is md5 or sha-256. Empty means md5, the only one that all phones know.
	Algorithm string `yaml:"algorithm"`
	// NonceLife is how long a challenge may be answered. Zero means 5m.
	NonceLife time.Duration `yaml:"nonce_life"`
}

// Registrar says how phones register.
type Registrar struct {
	// MinExpires is the shortest registration granted; less is answered with 423. Zero means 1m.
	MinExpires time.Duration `yaml:"min_expires"`
	// DefaultExpires is granted to a phone that asks for nothing. Zero means 1h.
	DefaultExpires time.Duration `yaml:"default_expires"`
	// MaxExpires is the longest that is granted. Zero means 2h.
	MaxExpires time.Duration `yaml:"max_expires"`
	// Bindings is how many phones of one user may be registered at a time. Zero means 3; at most 100.
	Bindings int `yaml:"bindings"`
	// TotalBindings is how many phones may be registered at the site. Zero means 100000.
	TotalBindings int `yaml:"total_bindings"`
	// NATPing is how often a UDP phone behind NAT is pinged. Zero means 25s.
	NATPing time.Duration `yaml:"nat_ping"`
}

// Timers are the clocks of SIP (RFC 3261, table 4) and of calls.
type Timers struct {
	// T1 estimates the round trip. Zero means 500ms.
	T1 time.Duration `yaml:"t1"`
	// T2 bounds the interval between repeated messages. Zero means 4s.
	T2 time.Duration `yaml:"t2"`
	// T4 is how long a message stays in the network. Zero means 5s.
	T4 time.Duration `yaml:"t4"`
	// C ends an attempt that rings for ever; each provisional response restarts it. Zero means 3m.
	C time.Duration `yaml:"c"`
	// NextGroup is how long phones of a higher q ring alone. Zero means 20s.
	NextGroup time.Duration `yaml:"next_group"`
	// NoAnswer ends a call that nobody answers. Zero means 2m.
	NoAnswer time.Duration `yaml:"no_answer"`
}

// Admin says where mssctl and monitoring reach this site.
type Admin struct {
	// Socket is the Unix socket of the API. Empty means admin.sock in StateDir.
	Socket string `yaml:"socket"`
	// GRPC are addresses of the API for operators with a certificate of the domain; the site must have joined. Empty
	// means none.
	GRPC []netip.AddrPort `yaml:"grpc"`
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
