"""Computations of the MAPA Lab, as plain data (`views.py`); `gpvae_core/plots` draws them.

Synthetic points, without training (`points.py`; one `PointLab` serves all pages and threads; raises UserError):

    SETS: tuple[str, ...]                              available sets; `ABOUT[name]` describes each
    PointLab.open(name, size=1000, draw=0) -> PointLab            N = size points of draw `draw`
    lab.name, lab.draw, lab.size, lab.sigma            sigma: noise of the set, MAPA's default bandwidth
    lab.best_bandwidth(progress=silent) -> float       highest kernel density of validation points
    lab.chosen(index) / lab.chosen_at(x1, x2) -> ChosenPoint;  lab.nearest(x1, x2) -> int
    lab.check(settings)                                  UserError: a bandwidth out of range, k > N, S < 0, ...
    lab.traces(chosen, settings) -> TraceView            plots/mapa_traces.figure(view, theme)
    lab.plane(chosen, settings) -> PlaneView             plots/mapa_plane.figure(view, theme, colour="z" | "q")
    lab.process(coordinate=0, seed=0, draws=4, noise=None) -> ProcessView      z against x_1 (0) or x_2 (1)
    paper_processes(seed=0, draws=4, noise=0.02) -> (ProcessView, ProcessView)   (`process.py`) Fig. 1
                                                       plots/generative_process.figure(views, theme, mapa=False)
    lab.variants(chosen, settings, learned=None, progress=silent) -> VariantsView
                                                       learned: a Run with d = 1 on these points
                                                       plots/variants.figure(view, theme, decoder="z" | "plane")
    lab.bound(settings, progress=silent) -> BoundView    plots/bound_curves.figure(view, theme, what="bound" | "gap")
    lab.passes(bandwidth, seed=0, progress=silent) -> PassesView   plots/pass_curves.figure(view, theme, encoder=False)
    lab.density(run, progress=silent) -> DensityView   plots/density.figure(view, theme)
    kl_curves(folder: Path, dataset) -> KlView | None  (`kl.py`) None: the folder has no results of a comparison
                                                       plots/kl_curves.figure(view, theme)
    fits(run) -> bool                                  (`points.py`) whether the run has d = 1, on points in the plane

A trained image model (`images.py`; one `ImageLab` per run):

    ImageLab(run, seed=0)
    lab.size                                           number of test images
    lab.sliders -> tuple[Slider, ...];  lab.defaults -> dict[str, float]     the kernel's hyper-parameters
    lab.best(progress=silent) -> dict[str, float]      smallest KL from the model's posterior, on validation images
    lab.best_if_known() -> dict[str, float] | None     the same where it has been computed
    lab.prepare(progress=silent)                       encodes and decodes all training images, which is slow
    lab.neighbours(index, values: Mapping[str, float], k, progress=silent) -> NeighboursView
                                                       plots/neighbour_images.figure(view, theme)
    lab.codes(view: NeighboursView, index, progress=silent) -> CodesView     plots/code_map.figure(view, theme)
"""
