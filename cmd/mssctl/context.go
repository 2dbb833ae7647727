package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/safefile"
)

// contextVariable names the context to use.
const contextVariable = "MSS_CONTEXT"

// place is how one node is reached: a context, as the file has it.
type place struct {
	Name     string `json:"name" yaml:"name"`
	Socket   string `json:"socket" yaml:"socket,omitempty"`
	Node     string `json:"node" yaml:"node,omitempty"`
	Operator string `json:"operator" yaml:"operator,omitempty"`
}

// places are the user's contexts.
type places struct {
	Current  string  `yaml:"current,omitempty"`
	Contexts []place `yaml:"contexts"`
}

func (a *app) contextCommand() *cobra.Command {
	return noun("context", "nodes under names of your own, kept in ~/.config/mss/contexts.yaml",
		a.contextList(), a.contextAdd(), a.contextUse(), a.contextDelete())
}

// placesFile is where contexts are kept.
func (a *app) placesFile() (string, error) {
	if folder := a.env("XDG_CONFIG_HOME"); folder != "" {
		return filepath.Join(folder, "mss", "contexts.yaml"), nil
	}
	if home := a.env("HOME"); home != "" {
		return filepath.Join(home, ".config", "mss", "contexts.yaml"), nil
	}
	return "", fault.New("find contexts", fault.Invalid, "", "$HOME is not set: set it, or $XDG_CONFIG_HOME")
}

func (a *app) loadPlaces() (all places, path string, err error) {
	const op = "read contexts"
	if path, err = a.placesFile(); err != nil {
		return all, path, err
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, path, nil
	case err != nil:
		return all, path, &fault.Error{Op: op, Kind: fault.Denied, Subject: path, Err: err}
	}
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
		return all, path, &fault.Error{Op: op, Kind: fault.Invalid, Subject: path, Err: fmt.Errorf("%w; correct the file or remove it, or say --socket or --node", err)}
	}
	return all, path, nil
}

// changePlaces reads the contexts, changes them, and writes them in one step.
func (a *app) changePlaces(change func(*places) error) error {
	all, path, err := a.loadPlaces()
	if err != nil {
		return err
	}
	if err := change(&all); err != nil {
		return err
	}
	slices.SortFunc(all.Contexts, func(x, y place) int { return strings.Compare(x.Name, y.Name) })
	text, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return &fault.Error{Op: "write contexts", Kind: fault.Denied, Subject: path, Err: err}
	}
	return safefile.Write(path, text)
}

func (p *places) find(op, name string) (*place, error) {
	i := slices.IndexFunc(p.Contexts, func(c place) bool { return c.Name == name })
	if i < 0 {
		return nil, fault.New(op, fault.NotFound, name, "there is no such context; `mssctl context list` names them, `mssctl context add` makes one")
	}
	return &p.Contexts[i], nil
}

// target is the node to talk to: what the command line says, else the context that it names, else the socket of the
// environment, else the current context. All empty means the only socket on this machine.
func (a *app) target() (place, error) {
	const op = "use context"
	wanted := cmp.Or(a.context, a.env(contextVariable))
	switch {
	case a.socket != "" && a.node != "":
		return place{}, fault.New(op, fault.Invalid, a.node, "--socket and --node exclude each other")
	case (a.socket != "" || a.node != "") && a.context != "":
		return place{}, fault.New(op, fault.Invalid, a.context, "--context excludes --socket and --node")
	case a.socket != "" || a.node != "":
		return place{Socket: a.socket, Node: a.node, Operator: cmp.Or(a.operator, a.env(operatorVariable))}, nil
	case wanted == "" && a.env(socketVariable) != "":
		return place{Socket: a.env(socketVariable)}, nil
	}
	if _, err := a.placesFile(); err != nil && wanted == "" {
		return place{}, nil // who has no folder has no contexts: the socket on this machine
	}
	// A file that cannot be read ends it: it may name another node than the one on this machine.
	all, _, err := a.loadPlaces()
	if err != nil {
		return place{}, err
	}
	if wanted == "" && all.Current == "" {
		return place{}, nil
	}
	found, err := all.find(op, cmp.Or(wanted, all.Current))
	if err != nil {
		return place{}, err
	}
	found.Operator = cmp.Or(a.operator, found.Operator)
	return *found, nil
}

func (a *app) contextList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "show contexts; the one in use has a star",
		Example: "  mssctl context list",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			all, _, err := a.loadPlaces()
			if err != nil {
				return err
			}
			l := a.newList("contexts", "CURRENT", "NAME", "NODE", "OPERATOR")
			for _, p := range all.Contexts {
				if err := a.addPlace(l, p, p.Name == all.Current); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
}

func (a *app) addPlace(l *list, p place, current bool) error {
	if a.format == formatTable {
		star := map[bool]string{true: "*"}[current]
		return l.addRow([]string{star, p.Name, cmp.Or(p.Node, p.Socket), p.Operator})
	}
	object, err := json.Marshal(struct {
		place
		Current bool `json:"current"`
	}{p, current})
	if err != nil {
		return err
	}
	return l.addObject(object)
}

func (a *app) contextAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME",
		Short: "give a node a name: its --socket, or its --node with --operator",
		Example: "  mssctl context add hub-a --node 192.0.2.1:5443 --operator /var/lib/tmss/identity/operator-admin.pem\n" +
			"  mssctl context add office --socket /var/lib/lmss/admin.sock",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := place{Name: args[0], Socket: a.socket, Node: a.node, Operator: cmp.Or(a.operator, a.env(operatorVariable))}
			switch {
			case (p.Socket == "") == (p.Node == ""):
				return usage(cmd, "say how the node is reached: either --socket PATH or --node ADDRESS")
			case p.Node != "" && p.Operator == "":
				return usage(cmd, "missing --operator: the file of the operator's certificate, which `tmss init` made")
			case p.Node == "":
				p.Operator = ""
			}
			for _, path := range []*string{&p.Socket, &p.Operator} {
				var err error
				if *path != "" {
					if *path, err = filepath.Abs(*path); err != nil {
						return err
					}
				}
			}
			err := a.changePlaces(func(all *places) error {
				if _, err := all.find("", p.Name); err == nil {
					return fault.New("add context", fault.Exists, p.Name, "there is one of this name: `mssctl context delete "+p.Name+"` removes it")
				}
				all.Contexts = append(all.Contexts, p)
				return nil
			})
			if err != nil {
				return err
			}
			return a.printResult(p, "context "+p.Name+" added; mssctl context use "+p.Name+" makes it the current one\n")
		},
	}
}

// printResult writes an object that no node sent, or text for people.
func (a *app) printResult(object any, text string) error {
	if a.format == formatTable {
		fmt.Fprint(a.out, text)
		return nil
	}
	content, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return writeJSON(a.out, a.format, content)
}

func (a *app) contextUse() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "make a context the current one",
		Example:           "  mssctl context use hub-a",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerPlaces),
		RunE: func(_ *cobra.Command, args []string) error {
			var used place
			err := a.changePlaces(func(all *places) error {
				found, err := all.find("use context", args[0])
				if err != nil {
					return err
				}
				used, all.Current = *found, found.Name
				return nil
			})
			if err != nil {
				return err
			}
			return a.printResult(used, "context "+used.Name+" is the current one\n")
		},
	}
}

func (a *app) contextDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "forget a context; the node does not notice",
		Example:           "  mssctl context delete office",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerPlaces),
		RunE: func(_ *cobra.Command, args []string) error {
			var gone place
			err := a.changePlaces(func(all *places) error {
				found, err := all.find("delete context", args[0])
				if err != nil {
					return err
				}
				gone = *found
				all.Contexts = slices.DeleteFunc(all.Contexts, func(p place) bool { return p.Name == args[0] })
				if all.Current == args[0] {
					all.Current = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			return a.printResult(gone, "context "+gone.Name+" deleted\n")
		},
	}
}
