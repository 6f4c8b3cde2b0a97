// Renders a chart again and again in one process, with Helm's own loader, schema check and engine: what the program
// `helm template` does, but for starting a process. It is for the run that deletes one thing of a chart at a time.
//
// A request is a line of JSON, and so is its answer.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	release "helm.sh/helm/v4/pkg/release/v1/util"
	"sigs.k8s.io/yaml"
)

type request struct {
	Chart     string `json:"chart"`
	Values    string `json:"values"`
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	// Most of what a rendering costs; values that are known to be right need it once.
	SkipSchema bool `json:"skipSchema"`
}

type answer struct {
	Error     string            `json:"error,omitempty"`
	Notes     string            `json:"notes,omitempty"`
	Manifests []json.RawMessage `json:"manifests,omitempty"`
}

func main() {
	charts := map[string]*chart.Chart{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		told, err := render(charts, asked)
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			panic(err)
		}
	}
}

func render(charts map[string]*chart.Chart, asked request) (answer, error) {
	loaded, isKnown := charts[asked.Chart]
	if !isKnown {
		var err error
		if loaded, err = loader.Load(asked.Chart); err != nil {
			return answer{}, err
		}
		// Of a chart that is changed only the latest is asked about.
		clear(charts)
		charts[asked.Chart] = loaded
	}
	given, err := common.ReadValues([]byte(asked.Values))
	if err != nil {
		return answer{}, err
	}
	options := common.ReleaseOptions{
		Name: asked.Release, Namespace: asked.Namespace, Revision: 1, IsInstall: true,
	}
	values, err := util.ToRenderValuesWithSchemaValidation(loaded, given, options, nil, asked.SkipSchema)
	if err != nil {
		return answer{}, err
	}
	files, err := engine.Render(loaded, values)
	if err != nil {
		return answer{}, err
	}
	told := answer{}
	for name, text := range files {
		switch {
		case strings.HasSuffix(name, "NOTES.txt"):
			told.Notes = text
		case !strings.HasPrefix(path.Base(name), "_"):
			for _, document := range release.SplitManifests(text) {
				object, err := yaml.YAMLToJSON([]byte(document))
				if err != nil {
					return answer{}, err
				}
				if string(object) != "null" {
					told.Manifests = append(told.Manifests, object)
				}
			}
		}
	}
	return told, nil
}
