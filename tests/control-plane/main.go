// One binary with every part of a Kubernetes control plane, for tests: etcd, kube-apiserver and
// kube-controller-manager from their own packages, and nodes that only say that pods run.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = `usage: control-plane PART [FLAG...]
  up                       the whole control plane; see up -h
  etcd                     etcd on loopback; used by up
  kube-apiserver           as upstream
  kube-controller-manager  as upstream
  nodes                    nodes that say that pods run; used by up
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	part := os.Args[1]
	os.Args = append([]string{part}, os.Args[2:]...)
	switch part {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "etcd":
		exit(runEtcd(os.Args[1:]))
	case "nodes":
		exit(runNodes(os.Args[1:]))
	case "up":
		exit(runUp(os.Args[1:]))
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
