// SPDX-License-Identifier: GPL-3.0-or-later
// Tessera's colours in JupyterLab 4 and Notebook 7. The page loads this file and treats it as a container of webpack's
// module federation: init is given what the page shares, get answers with the plugin. It is written by hand; nothing
// was or need be built.
(() => {
@{part:mode.js}
  let shared = {};

  // The copy of a shared package that the page itself uses: the one that is loaded, else the newest.
  const newer = (a, b) => a.localeCompare(b, "en", { numeric: true }) > 0;
  async function load(name) {
    const versions = shared[name] || {};
    let best;
    for (const version of Object.keys(versions)) {
      const loaded = Boolean(versions[version].loaded);
      const before = best !== undefined && Boolean(versions[best].loaded);
      if (best === undefined || (loaded && !before) || (loaded === before && newer(version, best))) best = version;
    }
    if (best === undefined) throw new Error(`tessera-highlight: this page shares no ${name}`);
    return (await versions[best].get())();
  }

  async function extension() {
    const { IEditorLanguageRegistry } = await load("@jupyterlab/codemirror");
    return {
      __esModule: true,
      default: {
        id: "tessera-highlight:language",
        description: "Adds the language Tessera to the editors.",
        autoStart: true,
        optional: IEditorLanguageRegistry ? [IEditorLanguageRegistry] : [],      // JupyterLab 3 has none
        activate(app, languages) {
          if (!languages) return;
          const known = languages.getLanguages().some(language => language.name.toLowerCase() === "tessera");
          if (known || languages.findByMIME("text/x-tessera", true)) return;
          languages.addLanguage({
            name: "tessera",
            displayName: "Tessera",
            mime: "text/x-tessera",
            extensions: ["tsr"],
            async load() {
              const { LanguageSupport, StreamLanguage } = await load("@codemirror/language");
              return new LanguageSupport(StreamLanguage.define(tesseraMode()));
            }
          });
        }
      }
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["tessera-highlight"] = {
    init(scope) {
      shared = scope;
    },
    async get(module) {
      if (module !== "./extension") throw new Error(`tessera-highlight: there is no ${module}`);
      const made = await extension();
      return () => made;
    }
  };
})();
