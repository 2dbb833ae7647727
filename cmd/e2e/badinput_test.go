package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

// TestBadInput gives an office and its programs what they cannot take. Whoever is told, the phone or the operator, learns
// what failed, why, and what to do next; a call works before and after, and no process has died.
func TestBadInput(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	hub, err := node.StartHub(ctx, node.HubOptions{Bin: bin})
	must(t, err)
	rigtest.CleanUp(t, hub)
	must(t, hub.AddSite(ctx, "london", "4xxx"))
	token, err := hub.SiteToken(ctx, "london")
	must(t, err)
	n := startOffice(t, node.Options{Users: users, Numbers: []string{"4xxx"}, Token: token})
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	for _, c := range []struct {
		name string
		do   func(t *testing.T) (told string)
		want [3]string // error, cause, next step
	}{
		{"wrong password", func(t *testing.T) string {
			t.Helper()
			bad := newPhone(t, n, phone.Options{Name: "4003", Password: "wrong"})
			if err := bad.Register(ctx); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("registered with a wrong password: %v", err)
			}
			return logged(t, n, "user=4003")
		}, [3]string{"authentication failed", `why="wrong password"`, "mssctl user set makes a new password"}},
		{"unknown number", func(t *testing.T) string {
			t.Helper()
			out, err := a.Dial(ctx, "4999")
			must(t, err)
			must(t, out.WaitEnded(ctx))
			wantStatus(t, out, 404)
			last := a.Transcript()
			if !slices.ContainsFunc(last, func(e phone.Entry) bool {
				return strings.Contains(e.Text, `Warning: 399 london.example.org "4999: it lies in this site's own range, where no user has it"`)
			}) {
				t.Error("the phone is not told why")
			}
			return logged(t, n, "called=4999")
		}, [3]string{"number not served", "in this site's own range, where no user has it", "mssctl user add"}},
		{"malformed SIP", func(t *testing.T) string {
			t.Helper()
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(n.UDP()))
			must(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKbad\r\nFrom: <sip:x@example.org>;tag=1\r\n" +
				"To: <sip:x@example.org>\r\nCall-ID: bad@example.org\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"))
			must(t, err)
			buf := make([]byte, 2048)
			size, err := conn.Read(buf)
			must(t, err)
			if got := string(buf[:size]); !strings.HasPrefix(got, "SIP/2.0 400 CSeq of another method\r\n") {
				t.Errorf("answered with\n%s", got)
			}
			return logged(t, n, `"CSeq of another method"`)
		}, [3]string{"malformed message refused", `why="CSeq of another method"`, "mssctl call trace"}},
		{"YAML with a wrong key", func(t *testing.T) string {
			t.Helper()
			return refused(t, 3, "lmss", "check", "--config", otherConfig(t, n, "listen:\n", "listen:\n  udpp: [\"127.0.0.1:5060\"]\n"))
		}, [3]string{"read configuration", `lmss.yaml:5:3: unknown key "udpp" in listen`, `did you mean "udp"?`}},
		{"token used twice", func(t *testing.T) string {
			t.Helper()
			return refused(t, 1, "lmss", "join", "--config", otherConfig(t, n, "", ""), token)
		}, [3]string{"join: hub a at", "the token is unknown, spent or expired", "make another with mssctl site token london"}},
		{"port in use", func(t *testing.T) string {
			t.Helper()
			return refused(t, 6, "lmss", "run", "--config", otherConfig(t, n, "", ""))
		}, [3]string{"bind udp: " + n.UDP().String(), "address already in use: another program has this port", `find it with "ss -lunp`}},
		{"state directory in use", func(t *testing.T) string {
			t.Helper()
			return refused(t, 5, "lmss", "run", "--config", n.ConfigPath())
		}, [3]string{"lock state directory: " + n.Dir(), "runs on this state directory", "stop it first, or give this one another state_dir"}},
		{"office that announces no numbers", func(t *testing.T) string {
			t.Helper()
			must(t, hub.AddSite(ctx, "bristol", "5xxx"))
			token, err := hub.SiteToken(ctx, "bristol")
			must(t, err)
			return alarm(t, startOffice(t, node.Options{Site: "bristol", Token: token}), "no numbers")
		}, [3]string{"other offices cannot call this one", "no numbers are configured", "name in its configuration, under numbers"}},
		{"hub that is not there", func(t *testing.T) string {
			t.Helper()
			again, err := hub.SiteToken(ctx, "london")
			must(t, err)
			must(t, hub.Stop())
			return refused(t, 1, "lmss", "join", "--config", otherConfig(t, n, "", ""), again)
		}, [3]string{"join: hub a at " + hub.GRPC().String(), "connection refused", "check that the hub runs there"}},
		{"call by a hub that is not there", func(t *testing.T) string {
			t.Helper()
			out, err := a.Dial(ctx, "1001")
			must(t, err)
			must(t, out.WaitEnded(ctx))
			wantStatus(t, out, 480)
			return alarm(t, n, "connection refused")
		}, [3]string{"no hub can be reached", "connection refused", "check that the hubs run"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := processes(n)
			shortCall(t, a, b)
			told := c.do(t)
			for i, part := range [...]string{"the error", "its cause", "the next step"} {
				if !strings.Contains(told, c.want[i]) {
					t.Errorf("%s (%s) is not in:\n%s", part, c.want[i], told)
				}
			}
			shortCall(t, a, b)
			if after := processes(n); !slices.Equal(before, after) {
				t.Errorf("processes were %v and are %v", before, after)
			}
		})
	}
	t.Run("full disk", fullDisk)
}

// shortCall is a whole call without waiting for the voice.
func shortCall(t *testing.T, from, to *phone.Phone) {
	t.Helper()
	ctx := limit(t)
	out, err := from.Dial(ctx, to.Name())
	must(t, err)
	in := arrives(t, out, to)
	must(t, in.Ring())
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
}

// processes are those that an office is made of.
func processes(n *node.Node) []int {
	return []int{n.PID(node.Supervisor), n.PID(node.Signal), n.PID(node.Media)}
}

// logged waits for a line of the office's log that has the words.
func logged(t *testing.T, n *node.Node, words string) (line string) {
	t.Helper()
	eventually(t, "a log line with "+words, func() bool {
		for l := range strings.Lines(n.Log()) {
			if strings.Contains(l, words) {
				line = l
			}
		}
		return line != ""
	})
	return line
}

// refused runs a program that must end with that code, and gives what it said.
func refused(t *testing.T, code int, program string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, program), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Errorf("%s ended with %v, want exit status %d", program, err, code)
	}
	return out.String()
}

// otherConfig is the office's configuration with another state directory and one thing replaced.
func otherConfig(t *testing.T, n *node.Node, old, replacement string) string {
	t.Helper()
	text, err := os.ReadFile(n.ConfigPath())
	must(t, err)
	dir := t.TempDir()
	other := strings.Replace(strings.Replace(string(text), old, replacement, 1), "state_dir: "+n.Dir()+"\n", "state_dir: "+dir+"\n", 1)
	path := filepath.Join(dir, "lmss.yaml")
	must(t, os.WriteFile(path, []byte(other), 0o600))
	return path
}

// alarm waits until the office's status has an alarm with the words.
func alarm(t *testing.T, n *node.Node, words string) (line string) {
	t.Helper()
	eventually(t, "an alarm with "+words, func() bool {
		text, err := n.Ctl(limit(t), "status")
		must(t, err)
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, "ALARM") && strings.Contains(l, words) {
				line = l
			}
		}
		return line != ""
	})
	return line
}
