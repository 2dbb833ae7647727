package directory

import (
	"crypto/tls"
	"encoding/pem"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/safefile"
)

const (
	quota      = 2 << 30 // bytes; etcd refuses writes beyond it
	compaction = "1h"    // of history kept; etcd's own default is all of it
	keepalive  = 30 * time.Second
)

// nobody stands for the peer address of a member that is alone. It is written into the data at the first start
// and must not depend on anything that changes.
const nobody = "127.0.0.1:2380"

// etcdConfig is etcd behind our fronts: plain on Unix sockets inward, TLS outward to other members.
func etcdConfig(o *Options, credentials *identity.Credentials, ending *atomic.Bool) (*embed.Config, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = o.Name, filepath.Join(o.Dir, "etcd")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(o.Logger, ending))
	c.InitialClusterToken = credentials.Node.Domain
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, compaction
	c.QuotaBackendBytes = quota
	c.GRPCKeepAliveInterval, c.GRPCKeepAliveTimeout = keepalive, keepalive/2
	c.EnableGRPCGateway = false
	c.ListenClientUrls = []url.URL{unixURL(clientSocket(o.Dir))}
	c.AdvertiseClientUrls = []url.URL{{Scheme: "https", Host: o.Listen}} // told, never dialled by us
	c.ListenPeerUrls = []url.URL{unixURL(peerSocket(o.Dir))}
	members := o.Members
	if len(members) == 0 {
		members = map[string]string{o.Name: nobody}
	}
	c.InitialCluster = initialCluster(members)
	c.AdvertisePeerUrls = []url.URL{{Scheme: "https", Host: members[o.Name]}}
	return c, outward(c, o, credentials)
}

// unixURL puts the whole path where etcd looks for it on every kind of listener.
func unixURL(path string) url.URL { return url.URL{Scheme: "unix", Host: path} }

func initialCluster(members map[string]string) string {
	list := make([]string, 0, len(members))
	for name, address := range members {
		list = append(list, name+"=https://"+address)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// outward lets the member dial others: it shows the hub's certificate, read anew for each connection, and
// expects one of a hub. etcd wants the root in a file of its own.
func outward(c *embed.Config, o *Options, credentials *identity.Credentials) error {
	root := filepath.Join(o.Dir, "root.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: credentials.Root.Raw})
	c.PeerTLSInfo = transport.TLSInfo{
		CertFile: o.Credentials, KeyFile: o.Credentials, TrustedCAFile: root,
		ServerName: identity.DirectoryName(credentials.Node.Domain), SkipClientSANVerify: true,
		MinVersion: tls.VersionTLS13,
	}
	return safefile.Write(root, text)
}
