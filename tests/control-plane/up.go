package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager"]
  - level: Metadata
`

// plane is everything that up starts.
type plane struct {
	dir      string
	self     string
	children []*exec.Cmd
	ended    chan error
}

// runUp starts everything, says where it is in one line of JSON, and ends it again.
func runUp(args []string) error {
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	dir := flags.String("dir", "", "where files live; a temporary directory unless given")
	readyAfter := flags.Duration("ready-after", 2*time.Second, "time until a bound pod is Ready")
	nodes := flags.Int("nodes", 3, "nodes")
	hpaSync := flags.Duration("hpa-sync-period", 15*time.Second, "as of kube-controller-manager")
	_ = flags.Parse(args)

	if *dir == "" {
		made, err := os.MkdirTemp("", "control-plane-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		*dir = made
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := &plane{dir: *dir, self: self, ended: make(chan error, 8)}
	defer p.stop()
	started := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { started <- p.start(ctx, *readyAfter, *nodes, *hpaSync) }()
	for {
		select {
		case err := <-started:
			if err != nil {
				return err
			}
			started = nil
		case err := <-p.ended:
			return err
		case <-stop:
			return nil
		}
	}
}

func (p *plane) file(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) start(ctx context.Context, readyAfter time.Duration, nodes int, hpaSync time.Duration) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	etcd := "http://127.0.0.1:" + strconv.Itoa(ports[0])
	server := "https://127.0.0.1:" + strconv.Itoa(ports[2])
	if err := writeCredentials(p.dir, server); err != nil {
		return err
	}
	if err := os.WriteFile(p.file("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	err = p.run("etcd", "-data-dir", p.file("etcd"), "-client", etcd,
		"-peer", "http://127.0.0.1:"+strconv.Itoa(ports[1]))
	if err != nil {
		return err
	}
	err = p.run("kube-apiserver",
		"--etcd-servers="+etcd,
		"--secure-port="+strconv.Itoa(ports[2]),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file="+p.file("server.crt"),
		"--tls-private-key-file="+p.file("server.key"),
		"--client-ca-file="+p.file("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+p.file("accounts.pub"),
		"--service-account-signing-key-file="+p.file("accounts.key"),
		"--requestheader-client-ca-file="+p.file("ca.crt"),
		"--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+p.file("front-proxy.crt"),
		"--proxy-client-key-file="+p.file("front-proxy.key"),
		"--disable-admission-plugins=ServiceAccount",
		"--audit-policy-file="+p.file("audit-policy.yaml"),
		"--audit-log-path="+p.file("audit.log"),
		"--watch-cache=true",
		"--allow-privileged=true",
	)
	if err != nil {
		return err
	}
	client, err := p.ready(ctx)
	if err != nil {
		return err
	}
	err = p.run("kube-controller-manager",
		"--kubeconfig="+p.file("kubeconfig"),
		"--authentication-kubeconfig="+p.file("kubeconfig"),
		"--authorization-kubeconfig="+p.file("kubeconfig"),
		"--secure-port="+strconv.Itoa(ports[3]),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--service-account-private-key-file="+p.file("accounts.key"),
		"--root-ca-file="+p.file("ca.crt"),
		"--horizontal-pod-autoscaler-sync-period="+hpaSync.String(),
		"--use-service-account-credentials=false",
		"--controllers=*,-nodelifecycle,-attachdetach,-persistentvolume-binder,-cloud-node-lifecycle",
	)
	if err != nil {
		return err
	}
	err = p.run("nodes", "-kubeconfig", p.file("kubeconfig"), "-count", strconv.Itoa(nodes),
		"-ready-after", readyAfter.String())
	if err != nil {
		return err
	}
	if err := hasDefaults(ctx, client); err != nil {
		return err
	}
	where, err := json.Marshal(map[string]string{
		"kubeconfig": p.file("kubeconfig"),
		"server":     server,
		"audit_log":  p.file("audit.log"),
		"directory":  p.dir,
	})
	if err != nil {
		return err
	}
	fmt.Println(string(where))
	fmt.Fprintf(os.Stderr, "ready; in another terminal:\n  export KUBECONFIG=%s\n", p.file("kubeconfig"))
	// Whoever waits for this file finds it whole.
	if err := os.WriteFile(p.file("ready.json.new"), where, 0o600); err != nil {
		return err
	}
	return os.Rename(p.file("ready.json.new"), p.file("ready.json"))
}

// run starts one part with its log beside its files.
func (p *plane) run(part string, args ...string) error {
	log, err := os.Create(p.file(part + ".log"))
	if err != nil {
		return err
	}
	command := exec.Command(p.self, append([]string{part}, args...)...)
	command.Stdout, command.Stderr = log, log
	// A part does not outlive up, however that ends.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		return err
	}
	p.children = append(p.children, command)
	go func() {
		err := command.Wait()
		p.ended <- fmt.Errorf("%s ended (%v); see %s", part, err, log.Name())
	}()
	return nil
}

// stop ends the parts, the last first.
func (p *plane) stop() {
	for i := len(p.children) - 1; i >= 0; i-- {
		_ = p.children[i].Process.Signal(syscall.SIGTERM)
	}
	limit := time.After(10 * time.Second)
	for range p.children {
		select {
		case <-p.ended:
		case <-limit:
			for _, child := range p.children {
				_ = child.Process.Kill()
			}
			return
		}
	}
}

// ready waits until the API server says that it is.
func (p *plane) ready(ctx context.Context) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.file("kubeconfig"))
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil && string(body) == "ok" {
			return client, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, ctx.Err()
}

// hasDefaults waits for the default namespace and its service account.
func hasDefaults(ctx context.Context, client kubernetes.Interface) error {
	for ctx.Err() == nil {
		accounts := client.CoreV1().ServiceAccounts("default")
		if _, err := accounts.Get(ctx, "default", metav1.GetOptions{}); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return ctx.Err()
}

// freePorts finds ports on loopback that nobody listens on.
func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
