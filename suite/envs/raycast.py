"""Pictures of MuJoCo models by ray casting, without OpenGL.

One ray per pixel through its centre, all of them in one call of `mujoco.mj_multiRay`, which knows
every primitive geom, meshes and height fields; then OpenGL's lighting model in numpy: headlight,
directional lights and spots, each ambient, diffuse and specular, materials, 2-D textures on planes
(with mipmaps), the sky's vertical gradient, translucent geoms over what is behind them. Geoms of
groups 0 to 2 are seen, as dm_control's own camera shows them.

Not shown: sites, tendons, shadows, reflections, haze, the sky's stars, textures of other geoms
(their mean colour instead), more than one translucent geom in a row, smoothed edges and mesh
normals; orthographic cameras and cameras with an intrinsic matrix are refused.

Sources: MuJoCo's documentation (XML reference: camera, light, material, texture; `mjVisual`),
OpenGL 1.5's fixed-function lighting.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

VISIBLE_GROUPS = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8)
_FREE_CAMERA = -1
_MIPMAP_TEXELS = 2.0  # per pixel; a sharper picture than one texel a pixel, still without moiré
_SKY_BANDS = 256
# MuJoCo's defaults for a geom: a colour that stands for the material's, and no material.
_NO_COLOUR_OF_ITS_OWN = (0.5, 0.5, 0.5, 1.0)
_SPECULAR, _SHININESS = 0.5, 0.5
_LARGEST_EXPONENT = 128  # OpenGL's, at shininess 1


class RayCaster:
    """Renders one model at one size through one camera."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int, camera: int = 0) -> None:
        """`camera`: index of a camera of the model, -1 for MuJoCo's default free camera.

        Raises ValueError when there is no such camera, or it is of a kind that is not supported.
        """
        if not _FREE_CAMERA <= camera < model.ncam:
            raise ValueError(
                f"camera {camera} of a model with {model.ncam} cameras; use 0 to {model.ncam - 1},"
                " or -1 for the free camera"
            )
        if camera >= 0 and (
            model.cam_projection[camera] != mujoco.mjtProjection.mjPROJ_PERSPECTIVE
            or model.cam_sensorsize[camera].any()
        ):
            raise ValueError(
                f"camera {camera} is orthographic or has an intrinsic matrix; use one with a fovy"
            )
        self._model = model
        self._camera = camera
        self._shape = (height, width)
        fovy = model.cam_fovy[camera] if camera >= 0 else model.vis.global_.fovy
        tangent = np.tan(np.radians(fovy) / 2)
        self._pixel_angle = 2 * tangent / height
        y = tangent * (1 - (2 * np.arange(height) + 1) / height)
        x = tangent * width / height * ((2 * np.arange(width) + 1) / width - 1)
        rays = np.empty((3, height, width))
        rays[0], rays[1], rays[2] = x, y[:, np.newaxis], -1.0
        rays /= np.sqrt((rays**2).sum(axis=0))
        self._camera_rays = rays.reshape(3, -1)  # in the camera's frame: right, up, backwards
        through = (model.geom_contype == 0) & (model.geom_conaffinity == 0)
        boxes = model.body_bvhadr[np.unique(model.geom_bodyid[through])]
        self._narrow_boxes = boxes[boxes >= 0]
        self._prepare_materials()
        self._sky = _sky_gradient(model)
        self._rotation = np.zeros((3, 3))  # the orientation that the three below belong to
        self._rays = self._camera_rays
        self._ray_rows = np.empty(0)
        self._background = np.empty(0)

    def _prepare_materials(self) -> None:
        """What does not change of geoms' surfaces: reflection, textures."""
        model = self._model
        material = model.geom_matid
        self._specular = np.full(model.ngeom, _SPECULAR)
        shininess = np.full(model.ngeom, _SHININESS)
        self._emission = np.zeros(model.ngeom)
        self._mean_texture = np.ones((3, model.ngeom))
        self._textures: list[_PlaneTexture] = []
        for geom in np.flatnonzero(material >= 0):
            self._specular[geom] = model.mat_specular[material[geom]]
            shininess[geom] = model.mat_shininess[material[geom]]
            self._emission[geom] = model.mat_emission[material[geom]]
            texture = model.mat_texid[material[geom], mujoco.mjtTextureRole.mjTEXROLE_RGB]
            if texture < 0:
                continue
            flat = model.tex_type[texture] == mujoco.mjtTexture.mjTEXTURE_2D
            if flat and model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
                self._textures.append(_PlaneTexture(model, int(geom)))
            else:
                self._mean_texture[:, geom] = _image(model, texture).mean(axis=(0, 1))
        self._exponent = shininess * _LARGEST_EXPONENT

    def render(self, data: mujoco.MjData) -> np.ndarray:
        """Picture of the state, uint8 `[height, width, 3]`, row 0 on top.

        Reads positions that MuJoCo derives from the state (as after `mj_forward`), changes nothing.
        """
        position, rotation = self._pose(data)
        if not np.array_equal(rotation, self._rotation):
            self._rotation = rotation
            self._rays = _rotated(rotation, self._camera_rays)
            self._ray_rows = self._rays.T.ravel()
            band = ((self._rays[2] + 1) / 2 * _SKY_BANDS).astype(np.intp)
            self._background = self._sky[:, np.minimum(band, _SKY_BANDS - 1)]
        colours = self._background.copy()
        hit = self._cast(data, position, slice(None), colours)
        translucent = np.flatnonzero(self._geom_colours()[:, 3] < 1)
        if translucent.size:
            self._blend(data, position, translucent, hit, colours)
        picture = np.minimum(colours, 1.0).T * 255 + 0.5
        return np.ascontiguousarray(picture.astype(np.uint8)).reshape(*self._shape, 3)

    def _pose(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """Position `[3]` of the camera and its rotation `[3, 3]`: columns right, up, backwards."""
        if self._camera >= 0:
            rotation = data.cam_xmat[self._camera].reshape(3, 3)
            return data.cam_xpos[self._camera].copy(), rotation.copy()
        camera = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(self._model, camera)
        azimuth, elevation = np.radians(camera.azimuth), np.radians(camera.elevation)
        right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
        horizontal = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        forward = np.cos(elevation) * horizontal + np.array([0.0, 0.0, np.sin(elevation)])
        rotation = np.stack([right, np.cross(right, forward), -forward], axis=1)
        return camera.lookat - camera.distance * forward, rotation

    def _cast(
        self,
        data: mujoco.MjData,
        position: np.ndarray,
        pixels: slice | np.ndarray,
        colours: np.ndarray,
    ) -> np.ndarray:
        """Colour those of `pixels` whose rays hit a geom; the geom of each, -1 for none."""
        rows = self._ray_rows
        if not isinstance(pixels, slice):
            rows = rows.reshape(-1, 3)[pixels].ravel()
        count = rows.size // 3
        geom = np.empty(count, dtype=np.int32)
        distance = np.empty(count)
        normal = np.empty(3 * count)
        # MuJoCo skips a body by the bounding box of its colliding geoms; the others count too.
        boxes = self._model.bvh_aabb[self._narrow_boxes].copy()
        self._model.bvh_aabb[self._narrow_boxes, 3:] = mujoco.mjMAXVAL
        try:
            mujoco.mj_multiRay(
                self._model, data, position, rows, VISIBLE_GROUPS, True, -1, geom, distance,
                normal, count, mujoco.mjMAXVAL,
            )  # fmt: skip
        finally:
            self._model.bvh_aabb[self._narrow_boxes] = boxes
        struck = np.flatnonzero(geom >= 0)
        places = struck if isinstance(pixels, slice) else pixels[struck]
        rays, reach = self._rays[:, places], distance[struck]
        points = position[:, np.newaxis] + reach * rays
        normals = np.ascontiguousarray(normal.reshape(-1, 3)[struck].T)
        colours[:, places] = self._shade(data, geom[struck], points, rays, reach, normals)
        return geom

    def _blend(
        self,
        data: mujoco.MjData,
        position: np.ndarray,
        translucent: np.ndarray,
        hit: np.ndarray,
        colours: np.ndarray,
    ) -> None:
        """Lay translucent geoms over what is behind them: cast again with these geoms hidden."""
        pixels = np.flatnonzero(np.isin(hit, translucent))
        if not pixels.size:
            return
        behind = self._background.copy()
        groups = self._model.geom_group[translucent].copy()
        self._model.geom_group[translucent] = mujoco.mjNGROUP - 1
        try:
            self._cast(data, position, pixels, behind)
        finally:
            self._model.geom_group[translucent] = groups
        alpha = self._geom_colours()[hit[pixels], 3]
        colours[:, pixels] = alpha * colours[:, pixels] + (1 - alpha) * behind[:, pixels]

    def _geom_colours(self) -> np.ndarray:
        """RGBA `[geoms, 4]`: the material's, unless the geom has a colour of its own.

        Read for each picture, since tasks change colours.
        """
        model = self._model
        own = model.geom_rgba.astype(np.float64)
        if not model.nmat:
            return own  # type: ignore[no-any-return]
        plain = (model.geom_matid >= 0) & (own == _NO_COLOUR_OF_ITS_OWN).all(axis=1)
        return np.where(plain[:, np.newaxis], model.mat_rgba[model.geom_matid], own)  # type: ignore[no-any-return]

    def _shade(
        self,
        data: mujoco.MjData,
        geom: np.ndarray,
        points: np.ndarray,
        rays: np.ndarray,
        distance: np.ndarray,
        normal: np.ndarray,
    ) -> np.ndarray:
        """Colours `[3, P]` of P points `[3, P]` of geoms `[P]` that rays `[3, P]` meet."""
        colour = self._geom_colours()[:, :3].T[:, geom]
        exponent, specular = self._exponent[geom], self._specular[geom]
        lit = self._emission[geom] * colour
        cast_shadows = []
        for light in self._lights(data, points):
            facing = np.maximum(_dot(normal, light.towards), 0.0)
            half = light.towards - rays
            highlight = np.maximum(_dot(normal, half) / np.sqrt(_dot(half, half)), 0.0)
            highlight **= exponent
            highlight *= (facing > 0) * specular * light.strength
            given = light.diffuse * (facing * light.strength)
            given += light.ambient * light.strength
            given *= colour
            given += light.specular * highlight
            if light.casts_shadow:
                cast_shadows.append(given)
            else:
                lit += given
        # As MuJoCo draws: a pass for the lights without shadows, one for each of the others, and
        # OpenGL cuts the light of a pass at 1 before the texture.
        np.minimum(lit, 1.0, out=lit)
        for given in cast_shadows:
            lit += np.minimum(given, 1.0)
        lit *= self._mean_texture[:, geom]
        for texture in self._textures:
            on_plane = np.flatnonzero(geom == texture.geom)
            # How far a pixel reaches over the plane: more when seen at a flat angle.
            slant = np.maximum(-_dot(normal[:, on_plane], rays[:, on_plane]), 1e-3)
            footprint = self._pixel_angle * distance[on_plane] / slant
            lit[:, on_plane] *= texture.colours(data, points[:, on_plane], footprint)
        return lit  # type: ignore[no-any-return]

    def _lights(self, data: mujoco.MjData, points: np.ndarray) -> Iterator["_Light"]:
        """The headlight and the scene's lights as they reach `points` `[3, P]`."""
        model, head = self._model, self._model.vis.headlight
        if head.active:
            # OpenGL's headlight shines along the camera's axis, from everywhere.
            axis = self._rotation[:, 2:]
            yield _Light(
                axis,
                1.0,
                _column(head.ambient),
                _column(head.diffuse),
                _column(head.specular),
                False,
            )
        for i in np.flatnonzero(model.light_active):
            direction = data.light_xdir[i][:, np.newaxis]
            if model.light_type[i] == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL:
                towards, strength = -direction, 1.0
            else:
                towards = data.light_xpos[i][:, np.newaxis] - points
                reach = np.sqrt(_dot(towards, towards))
                towards /= reach
                constant, linear, quadratic = model.light_attenuation[i]
                strength = 1.0 / (constant + linear * reach + quadratic * reach**2)
                if model.light_type[i] == mujoco.mjtLightType.mjLIGHT_SPOT:
                    inside = -_dot(towards, direction)
                    edge = np.cos(np.radians(model.light_cutoff[i]))
                    strength *= np.where(inside >= edge, inside, 0.0) ** model.light_exponent[i]
            yield _Light(
                towards,
                strength,
                _column(model.light_ambient[i]),
                _column(model.light_diffuse[i]),
                _column(model.light_specular[i]),
                bool(model.light_castshadow[i]),
            )


@dataclass(frozen=True)
class _Light:
    """A light as it reaches P points: unit vectors towards it `[3, P]` or `[3, 1]`, strength."""

    towards: np.ndarray
    strength: float | np.ndarray
    ambient: np.ndarray
    diffuse: np.ndarray
    specular: np.ndarray
    casts_shadow: bool


class _PlaneTexture:
    """A 2-D texture on a plane, with its mipmaps, copied out of the model once."""

    def __init__(self, model: mujoco.MjModel, geom: int) -> None:
        self.geom = geom
        material = model.geom_matid[geom]
        image = _image(model, model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB])
        self._levels = [image]
        while min(self._levels[-1].shape[:2]) > 1:
            fine = self._levels[-1]
            rows, columns = fine.shape[0] // 2 * 2, fine.shape[1] // 2 * 2
            fine = fine[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2, 3)
            self._levels.append(fine.mean(axis=(1, 3)))
        self._texels = np.concatenate([level.reshape(-1, 3) for level in self._levels])
        sizes = np.array([level.shape[:2] for level in self._levels])
        self._rows, self._columns = sizes.T
        self._starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
        # The plane's corner is the texture's; an endless plane (size 0) has it in its middle.
        self._corner = model.geom_size[geom, :2]
        # Repetitions per metre; MuJoCo counts them per 2 metres, or over the whole plane.
        self._per_metre = model.mat_texrepeat[material] / 2.0
        if not model.mat_texuniform[material] and self._corner.all():
            self._per_metre = self._per_metre / self._corner

    def colours(self, data: mujoco.MjData, points: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Colours `[3, P]` at points `[3, P]` whose pixels span `footprint` `[P]` metres."""
        axes = data.geom_xmat[self.geom].reshape(3, 3)
        local = points - data.geom_xpos[self.geom][:, np.newaxis]
        u = (self._corner[0] + _dot(local, axes[:, :1])) * self._per_metre[0]
        v = (self._corner[1] - _dot(local, axes[:, 1:2])) * self._per_metre[1]
        texels = footprint * (self._per_metre[0] * self._columns[0] / _MIPMAP_TEXELS)
        level = np.log2(np.maximum(texels, 1.0)).astype(np.intp)
        level = np.minimum(level, len(self._levels) - 1)
        row = ((v - np.floor(v)) * self._rows[level]).astype(np.intp)
        column = ((u - np.floor(u)) * self._columns[level]).astype(np.intp)
        index = self._starts[level] + row * self._columns[level] + column
        return self._texels[index].T  # type: ignore[no-any-return]


def _image(model: mujoco.MjModel, texture: int) -> np.ndarray:
    """A texture's colours, 0 to 1, `[rows, columns, 3]`."""
    start, channels = model.tex_adr[texture], model.tex_nchannel[texture]
    shape = (model.tex_height[texture], model.tex_width[texture], channels)
    values = model.tex_data[start : start + np.prod(shape, dtype=int)].reshape(shape)
    return np.repeat(values, 3, axis=2) / 255 if channels == 1 else values[..., :3] / 255


def _sky_gradient(model: mujoco.MjModel) -> np.ndarray:
    """The skybox's colours `[3, bands]` from straight down to straight up; black without one.

    The median of a band leaves out the stars.
    """
    skyboxes = np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    if not skyboxes.size:
        return np.zeros((3, _SKY_BANDS))
    image = _image(model, skyboxes[0])
    side = image.shape[1]
    # Six faces below each other: right, left, up, down, front, back. Front, up and down span all.
    up, down, front = (image[i * side : (i + 1) * side] for i in (2, 3, 4))
    bands = np.empty((3, _SKY_BANDS))
    for band in range(_SKY_BANDS):
        height = 2 * (band + 0.5) / _SKY_BANDS - 1  # vertical component of the direction
        slope = abs(height) / np.sqrt(1 - height**2)
        if slope < 1:  # on the front face, in the middle column's row
            row = int((1 - np.sign(height) * slope) / 2 * side)
            bands[:, band] = np.median(front[min(row, side - 1)], axis=0)
        else:  # on the upper or lower face, at this distance from its centre
            offset = int((1 - 1 / slope) / 2 * side)
            face = up if height > 0 else down
            bands[:, band] = np.median(face[offset, side // 3 : side - side // 3], axis=0)
    return bands


def _rotated(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """`rotation` `[3, 3]` times vectors `[3, P]`, in an order that no BLAS chooses."""
    across, along, back = (rotation[:, i : i + 1] * vectors[i] for i in range(3))
    return across + along + back  # type: ignore[no-any-return]


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Scalar products `[P]` of vectors `[3, P]`; either may be one vector `[3, 1]`."""
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]  # type: ignore[no-any-return]


def _column(colour: np.ndarray) -> np.ndarray:
    return np.asarray(colour, dtype=np.float64)[:, np.newaxis]
