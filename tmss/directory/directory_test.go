package directory_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/tmss/directory"
	"github.com/mss-federation/mss/tmss/directory/directorytest"
	"github.com/mss-federation/mss/tmss/discovery"
)

func TestMain(m *testing.M) { directorytest.Main(m) }

func put(ctx context.Context, client *clientv3.Client, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := client.Put(ctx, key, value)
	return err
}

func get(t *testing.T, client *clientv3.Client, key string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := client.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Kvs) == 0 {
		return ""
	}
	return string(got.Kvs[0].Value)
}

// What was written is there after kill -9, on the same address.
func TestSingleMember(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	client := m.Client(t)
	if err := put(t.Context(), client, "/x", "1"); err != nil {
		t.Fatal(err)
	}
	m.Kill(t)
	m.Run(t)
	m.Await(t)
	if got := get(t, client, "/x"); got != "1" {
		t.Errorf("after kill -9: %q", got)
	}
	if err := m.Exited(t); err != nil {
		t.Errorf("an orderly end: %v", err)
	}
}

// Only hubs of the domain get in; a revoked one is cut off, connections that are up too.
func TestOnlyHubs(t *testing.T) {
	t.Parallel()
	d, other := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	m := directorytest.Start(t, d)
	for name, source := range map[string]*identity.Source{
		"site":     d.Source(t, identity.Site, "london"),
		"operator": d.Source(t, identity.Operator, "alice"),
		"stranger": other.Source(t, identity.Hub, "b"),
		"expired":  identity.NewSource(d.CredentialsAt(t, identity.Hub, "b", time.Now().Add(-25*time.Hour))),
	} {
		if err := shake(t, m.Address, identity.DirectoryTLS(source, d.Trust)); err == nil {
			t.Errorf("%s got in", name)
		}
	}
	if err := shake(t, m.Address, identity.DirectoryTLS(d.Source(t, identity.Hub, "b"), d.Trust)); err != nil {
		t.Errorf("hub b: %v", err)
	}
	bare := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: d.Trust.Roots(), ServerName: identity.DirectoryName("example.org")}
	if err := shake(t, m.Address, bare); err == nil {
		t.Error("somebody without a certificate got in")
	}
}

// shake connects and waits a moment for the server's refusal, which TLS 1.3 sends after the client is done.
func shake(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer c.Close()
	// etcd answers the beginning of HTTP/2 (RFC 9113 §3.4) with its settings.
	if _, err := c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestOptions(t *testing.T) {
	t.Parallel()
	three := map[string]string{"a": "192.0.2.1:2380", "b": "192.0.2.2:2380", "c": "192.0.2.3:2380"}
	good := directory.Options{Name: "a", Dir: "/var/lib/tmss/directory", Credentials: "node.pem", Listen: "192.0.2.1:2379"}
	for name, c := range map[string]struct {
		change func(o *directory.Options)
		want   string
	}{
		"good":         {func(*directory.Options) {}, ""},
		"three":        {func(o *directory.Options) { o.Members = three }, ""},
		"everywhere":   {func(o *directory.Options) { o.Listen = "0.0.0.0:2379" }, "one address"},
		"no port":      {func(o *directory.Options) { o.Listen = "192.0.2.1" }, "one address"},
		"name":         {func(o *directory.Options) { o.Name = "A" }, "a-z"},
		"long folder":  {func(o *directory.Options) { o.Dir = "/" + strings.Repeat("x", 100) }, "shorter"},
		"no folder":    {func(o *directory.Options) { o.Dir = "" }, "folder"},
		"two members":  {func(o *directory.Options) { o.Members = map[string]string{"a": "192.0.2.1:1", "b": "192.0.2.2:1"} }, "one member or three"},
		"not a member": {func(o *directory.Options) { o.Name, o.Members = "d", three }, "not among"},
	} {
		o := good
		c.change(&o)
		o.EnsureDefaults()
		err := o.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What somebody else has is named, and nothing is left running.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	dir, err := os.MkdirTemp("", "mss-dir-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	credentials := filepath.Join(dir, identity.NodeFile)
	if err := d.Credentials(t, identity.Hub, "a").Save(credentials); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	options := directory.Options{Name: "a", Dir: filepath.Join(dir, "d"), Credentials: credentials, Listen: busy.Addr().String()}
	if err := directory.Run(t.Context(), options); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port in use: %v", err)
	}
	options.Name = "b"
	if err := directory.Run(t.Context(), options); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another hub's credentials: %v", err)
	}
	options.Name, options.Credentials = "a", filepath.Join(dir, "none.pem")
	if err := directory.Run(t.Context(), options); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no credentials: %v", err)
	}
}

// A second member on one folder is refused and names the first.
func TestOneMemberAFolder(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	err := directory.Run(t.Context(), m.Options())
	if fault.KindOf(err) != fault.Exists {
		t.Errorf("got %v", err)
	}
	if err := put(t.Context(), m.Client(t), "/x", "1"); err != nil {
		t.Errorf("the first member suffers: %v", err)
	}
}

// Three members go on without one; with one of three, nothing is written, and it says so in time.
func TestThreeMembers(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	members := directorytest.StartThree(t, d)
	client := directorytest.Client(t, d, members[0].Address, members[1].Address, members[2].Address)
	if err := put(t.Context(), client, "/x", "1"); err != nil {
		t.Fatal(err)
	}
	members[0].Kill(t)
	// The election may fall into a busy moment: a write that meets it is tried again, as its caller would.
	var err error
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		if err = put(t.Context(), client, "/x", "2"); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("two of three: %v", err)
	}
	members[1].Kill(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = client.Put(ctx, "/x", "3")
	for err != nil && ctx.Err() == nil {
		_, err = client.Put(ctx, "/x", "3") // its connection was to the member that was killed: the last one is asked now
	}
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("one of three: %v", err)
	}
	members[0].Run(t)
	members[0].Await(t)
	if got := get(t, client, "/x"); got != "2" && got != "3" { // the third may have arrived late
		t.Errorf("after the quorum is back: %q", got)
	}
	members[0].Kill(t)
	begin := time.Now()
	if err := members[2].Exited(t); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("an orderly end without quorum: %v after %v", err, time.Since(begin))
	}
}

// Revoking a hub ends what it has open.
func TestRevokedHubIsCut(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	m := directorytest.Start(t, d)
	config := identity.DirectoryTLS(d.Source(t, identity.Hub, "b"), d.Trust)
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", m.Address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list := `[{"node":"mss://example.org/hub/b","before":"2099-01-01T00:00:00Z","reason":"stolen"}]`
	if err := put(t.Context(), m.Client(t), discovery.RevocationsKey, list); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var refused net.Error
	for err == nil {
		_, err = c.Read(make([]byte, 1024))
	}
	if errors.As(err, &refused) && refused.Timeout() {
		t.Error("the connection is still up")
	}
	if err := shake(t, m.Address, identity.DirectoryTLS(d.Source(t, identity.Hub, "b"), d.Trust)); err == nil {
		t.Error("the revoked hub got in again")
	}
}
